package postgres

func factorStatements() []string {
	return []string{
		readFactors, lockFactors, countPasskeys, factorsChanged, putTOTP, confirmTOTP, useTOTP, dropTOTP, dropBackupCodes, insertBackupCodes,
		listBackupCodes, useBackupCode, proveSession, insertPasskey, listPasskeys, passkeyOwner, usePasskey, deletePasskey,
	}
}
