package postgres

import (
	"strings"

	"github.com/toolboxai/orchestrator/internal/school"
)

// Unhold lets everybody take admins out of office at the same time: the negative control of the test on the last one.
func (db *DB) Unhold() { db.sabotage.unheld = true }

func schoolStatements() []string {
	number := func(sql string) string { return numbered(sql, make([]any, strings.Count(sql, "?"))...).where[0] }
	return []string{
		holdTenant, listTenants, getTenant, insertTenant, changeTenant, getPerson, insertPerson, maySubmit, listNames, holdOffices, otherPlatformAdmins,
		lockPerson, changePerson, leaveClasses, leaveGuardians, getClass, countClasses, insertClass, lockClass, changeClass, listMembers,
		getMember, hasClass, eligible, countMembers, insertMember, deleteMember, listGuardians, lockPair, insertGuardian, countGuardians,
		countChildren, deleteGuardian, listShares, getShare, hasTask, countShares, insertShare, deleteShare, number(readers),
		number(hasReader), number(readShared), number(listShared),
	}
}

// UserStatement returns the statement that School.Users uses for f.
func UserStatement(f school.UserFilter) (string, error) {
	sql, _, err := userQuery("school", f, userList("school", f))
	return sql, err
}

// ClassStatement returns the statement that School.Classes uses for f.
func ClassStatement(f school.ClassFilter) (string, error) {
	sql, _, err := classQuery("school", f, classList("school", f))
	return sql, err
}
