package postgres

func accountStatements() []string {
	return []string{
		userByLogin, userByID, insertUser, isOpenClass, holdClass, joinClass, listHashes, setPassword, keepHash, dropHash, rehash, countFailure, lockedUntil,
		clearFailures, unlockUser, insertSession, lockUser, endOldest, rotateSession, readSession, listSessions, endSession, endSessions,
		sweepSessions, sweepTokens, insertToken, voidTokens, voidSignIns, spendToken, useToken, tryToken, enlistTenant, enlistUser,
	}
}
