package account_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/toolboxai/orchestrator/internal/account"
	"github.com/toolboxai/orchestrator/internal/auth"
	"github.com/toolboxai/orchestrator/internal/fault"
)

func TestBackupCodes_WorkOnceEach(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ctx := t.Context()
	p := d.person("ada", auth.Teacher)
	_, err := d.NewBackupCodes(ctx, p)
	d.want(fault.Conflict, err)
	_, first := d.app(p)
	form := regexp.MustCompile(`^[0-9abcdefghjkmnpqrstvwxyz]{5}-[0-9abcdefghjkmnpqrstvwxyz]{5}$`)
	seen := map[string]bool{}
	for _, code := range first {
		if !form.MatchString(code) || seen[code] {
			t.Errorf("%q is no code, or comes twice", code)
		}
		seen[code] = true
	}
	use := func(code string) error {
		_, err := d.StepUp(ctx, p, account.Proof{BackupCode: code})
		return err
	}
	d.must(use(first[0]))
	d.want(fault.Unauthorized, use(first[0]))
	// As people copy them.
	d.must(use(" " + strings.ToUpper(strings.ReplaceAll(first[1], "-", " ")) + " "))
	d.must(use(strings.NewReplacer("0", "O", "1", "l").Replace(first[2])))
	second, err := d.NewBackupCodes(ctx, proved(p))
	d.must(err)
	d.want(fault.Unauthorized, use(first[3]))
	d.must(use(second[0]))
	if d.recorded("backup_codes.renewed") != 1 {
		t.Error("it is not on record")
	}
	for _, code := range append(first, second...) {
		if strings.Contains(d.trail(), code) {
			t.Errorf("%q is on record", code)
		}
	}
}

func TestBackupCodes_AreNobodyElses(t *testing.T) {
	t.Parallel()
	d := newDesktop(t)
	ada, bob := d.person("ada", auth.Teacher), d.person("bob", auth.Teacher)
	_, codes := d.app(ada)
	d.app(bob)
	_, err := d.StepUp(t.Context(), bob, account.Proof{BackupCode: codes[0]})
	d.want(fault.Unauthorized, err)
	// Nor do they work for bob when their hashes are carried over in the database.
	d.sql("INSERT INTO backup_codes (tenant, user_id, hash) SELECT tenant, 'bob', hash FROM backup_codes WHERE user_id = 'ada'")
	_, err = d.StepUp(t.Context(), bob, account.Proof{BackupCode: codes[0]})
	d.want(fault.Unauthorized, err)
	hashes, err := d.cfg.Factors.BackupCodes(t.Context(), "school", "ada")
	d.must(err)
	for _, hash := range hashes {
		if len(hash) != 32 || bytes.Contains(hash, []byte(codes[0][:5])) {
			t.Errorf("%d bytes are kept of a code", len(hash))
		}
	}
}
