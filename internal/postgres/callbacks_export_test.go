package postgres

func callbackStatements() []string {
	return []string{
		lockEndpoints, countEndpoints, insertEndpoint, readEndpoint, listEndpoints, lockTarget, updateEndpoint, buryEndpoint, closeEndpoint, emptyEndpoint,
		forgetTarget, deleteEndpoint, giveSecret, readSecret, setSecret, listDeliveries, readDelivery, replayDeliveries, listSubscribers, wakeTargets,
		planDeliveries, lockTargets, takeDeliveries, settleTargets, noteTry, finishDelivery, letGo, disableEndpoint, buryDeliveries, purgeDeliveries,
		purgeTargets, countBacklog,
	}
}

// TakeDeliveries returns the statement that Claim takes deliveries with.
func TakeDeliveries() string { return takeDeliveries }

// SettleTargets returns the statement that ends a claim and an outcome.
func SettleTargets() string { return settleTargets }
