-- Who may do what: tenants, their people and classes, how these prove who they are, and what was done.
--
-- This is no copy of the log: it is kept here alone, and belongs into every backup. Secrets are never stored in clear: passwords
-- as argon2id, tokens as SHA-256, the secrets of API keys as HMAC under a pepper that the database does not know, TOTP secrets sealed.
--
-- The second lock: whatever is asked for one tenant is asked in the role toolboxai_tenant, for which each table shows and takes the
-- rows of the tenant in the setting toolboxai.tenant alone. See postgres.DB.

-- +goose Up
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'toolboxai_tenant') THEN
        CREATE ROLE toolboxai_tenant NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- another database of this server was faster
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
DO $$
BEGIN
    -- Since Postgres 16 a role's maker is its member, but may not take it.
    IF NOT pg_has_role(current_user, 'toolboxai_tenant', CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END) THEN
        EXECUTE format('GRANT toolboxai_tenant TO %I', current_user);
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
-- +goose StatementEnd

CREATE TABLE tenants (
    id         text COLLATE "C" PRIMARY KEY,          -- a subject token
    name       text             NOT NULL,
    state      text             NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    settings   jsonb            NOT NULL DEFAULT '{}', -- school.Settings
    created_at timestamptz      NOT NULL,
    updated_at timestamptz      NOT NULL
);

CREATE TABLE users (
    id                  text COLLATE "C" PRIMARY KEY, -- unique over all tenants: it is in the names of channels
    tenant              text COLLATE "C" NOT NULL REFERENCES tenants (id),
    username            text             NOT NULL,
    username_key        text COLLATE "C" NOT NULL UNIQUE, -- normalised: what is compared
    email               text,                             -- students may have none
    email_key           text COLLATE "C" UNIQUE,
    name                text             NOT NULL,
    role                text COLLATE "C" NOT NULL CHECK (role IN ('platform_admin', 'admin', 'teacher', 'student', 'parent')),
    state               text COLLATE "C" NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled', 'erased')),
    version             bigint           NOT NULL DEFAULT 1, -- grows with every change that a client can see
    password_hash       text,                                -- null: none set yet (invited) or none wanted (passkey)
    password_changed_at timestamptz,
    must_change         boolean          NOT NULL DEFAULT false,
    failures            integer          NOT NULL DEFAULT 0, -- of signing in, since the last success or lock
    last_failure_at     timestamptz,
    locked_until        timestamptz,
    totp_secret         bytea,                               -- sealed
    totp_confirmed_at   timestamptz,                         -- null: not yet in force
    totp_last_step      bigint           NOT NULL DEFAULT 0, -- the last code's time step: no code works twice
    last_login_at       timestamptz,
    created_at          timestamptz      NOT NULL,
    updated_at          timestamptz      NOT NULL
);
CREATE INDEX users_by_tenant ON users (tenant, created_at DESC, id DESC);
CREATE INDEX users_by_role ON users (tenant, role, created_at DESC, id DESC);

CREATE TABLE password_history (
    tenant  text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    text             NOT NULL,
    set_at  timestamptz      NOT NULL,
    PRIMARY KEY (user_id, set_at)
);

-- A sign-in and the family of refresh tokens that follow from it.
CREATE TABLE sessions (
    id              text COLLATE "C" PRIMARY KEY,
    tenant          text COLLATE "C" NOT NULL,
    user_id         text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at      timestamptz      NOT NULL,
    last_seen_at    timestamptz      NOT NULL, -- of the last refresh
    expires_at      timestamptz      NOT NULL, -- absolute
    auth_at         timestamptz      NOT NULL, -- when the user last proved who they are: sign-in or step-up
    second_factor   boolean          NOT NULL, -- whether that was with a second factor or a passkey
    ip              text             NOT NULL,
    user_agent      text             NOT NULL,
    refresh_hash    bytea            NOT NULL UNIQUE, -- SHA-256 of the one token that is live
    refresh_expires timestamptz      NOT NULL,
    rotated_at      timestamptz,
    previous_hash   bytea,                     -- of the token before it
    previous_client bytea,                     -- hash of who presented that
    successor       bytea,                     -- the live token, sealed with the previous one: see account
    revoked_at      timestamptz,
    revoked_because text
);
CREATE INDEX sessions_by_user ON sessions (user_id, created_at DESC) WHERE revoked_at IS NULL;

CREATE TABLE backup_codes (
    tenant  text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    bytea            NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (user_id, hash)
);

CREATE TABLE passkeys (
    id            text COLLATE "C" PRIMARY KEY,
    tenant        text COLLATE "C" NOT NULL,
    user_id       text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id bytea            NOT NULL UNIQUE,
    credential    jsonb            NOT NULL, -- webauthn.Credential: public key, sign count, flags
    name          text             NOT NULL,
    created_at    timestamptz      NOT NULL,
    last_used_at  timestamptz
);
CREATE INDEX passkeys_by_user ON passkeys (user_id);

-- What is used once: invitations, password resets, the half of a sign-in that waits for the second factor, WebAuthn ceremonies.
CREATE TABLE one_time_tokens (
    hash       bytea            PRIMARY KEY, -- SHA-256
    purpose    text COLLATE "C" NOT NULL CHECK (purpose IN ('invite', 'reset', 'login', 'webauthn')),
    tenant     text COLLATE "C" NOT NULL,    -- empty where it is not known yet
    user_id    text COLLATE "C" REFERENCES users (id) ON DELETE CASCADE,
    data       jsonb            NOT NULL DEFAULT '{}',
    tries      integer          NOT NULL DEFAULT 0,
    created_at timestamptz      NOT NULL,
    expires_at timestamptz      NOT NULL,
    used_at    timestamptz
);
CREATE INDEX one_time_tokens_by_user ON one_time_tokens (user_id, purpose);
CREATE INDEX one_time_tokens_by_expiry ON one_time_tokens (expires_at);

CREATE TABLE classes (
    id          text COLLATE "C" PRIMARY KEY,
    tenant      text COLLATE "C" NOT NULL REFERENCES tenants (id),
    name        text             NOT NULL,
    created_by  text COLLATE "C" NOT NULL,
    version     bigint           NOT NULL DEFAULT 1,
    created_at  timestamptz      NOT NULL,
    updated_at  timestamptz      NOT NULL,
    archived_at timestamptz
);
CREATE INDEX classes_by_tenant ON classes (tenant, created_at DESC, id DESC);

CREATE TABLE class_members (
    tenant   text COLLATE "C" NOT NULL,
    class    text COLLATE "C" NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    user_id  text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    added_by text COLLATE "C" NOT NULL,
    added_at timestamptz      NOT NULL,
    PRIMARY KEY (class, user_id)
);
CREATE INDEX class_members_by_user ON class_members (tenant, user_id);

CREATE TABLE guardians (
    tenant   text COLLATE "C" NOT NULL,
    parent   text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    child    text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    added_by text COLLATE "C" NOT NULL,
    added_at timestamptz      NOT NULL,
    PRIMARY KEY (parent, child)
);
CREATE INDEX guardians_by_child ON guardians (tenant, child);

-- A task's result that a class may read.
CREATE TABLE shares (
    tenant    text COLLATE "C" NOT NULL,
    class     text COLLATE "C" NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    task      text COLLATE "C" NOT NULL,
    shared_by text COLLATE "C" NOT NULL,
    shared_at timestamptz      NOT NULL,
    PRIMARY KEY (class, task)
);
CREATE INDEX shares_by_task ON shares (tenant, task);

CREATE TABLE api_keys (
    id               text COLLATE "C" PRIMARY KEY, -- the part of the key that is no secret
    tenant           text COLLATE "C" NOT NULL REFERENCES tenants (id),
    user_id          text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE, -- for whom it acts
    name             text             NOT NULL,
    hash             bytea            NOT NULL, -- HMAC-SHA256 under the pepper
    previous_hash    bytea,                     -- of the secret before a rotation, good until previous_until
    previous_until   timestamptz,
    scopes           text[]           NOT NULL,
    ips              text[]           NOT NULL DEFAULT '{}', -- CIDRs; empty: any
    origins          text[]           NOT NULL DEFAULT '{}',
    per_minute       integer          NOT NULL DEFAULT 0,    -- 0: the default
    created_at       timestamptz      NOT NULL,
    rotated_at       timestamptz,
    expires_at       timestamptz,
    last_used_at     timestamptz,
    revoked_at       timestamptz
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_at DESC, id DESC);

-- What was done, copied from the broker's stream AUDIT: see package audit.
CREATE TABLE audit_log (
    tenant  text COLLATE "C" NOT NULL,
    n       bigint           NOT NULL, -- 1, 2, 3 … within the tenant
    at      timestamptz      NOT NULL,
    actor   text COLLATE "C" NOT NULL,
    action  text COLLATE "C" NOT NULL,
    target  text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    entry   bytea            NOT NULL, -- the bytes that are hashed
    prev    bytea            NOT NULL, -- hash of entry n-1
    hash    bytea            NOT NULL, -- SHA-256 of prev and entry
    PRIMARY KEY (tenant, n)
);
CREATE INDEX audit_log_by_actor ON audit_log (tenant, actor, n DESC);
CREATE INDEX audit_log_by_target ON audit_log (tenant, target, n DESC);
CREATE INDEX audit_log_by_action ON audit_log (tenant, action, n DESC);
CREATE INDEX audit_log_by_time ON audit_log (tenant, at DESC);

-- Who looked at a student's data.
CREATE TABLE access_log (
    tenant   text COLLATE "C" NOT NULL,
    seq      bigint           NOT NULL, -- place in the stream
    at       timestamptz      NOT NULL,
    actor    text COLLATE "C" NOT NULL,
    student  text COLLATE "C" NOT NULL,
    resource text             NOT NULL, -- such as "task 0199…"
    route    text             NOT NULL,
    ip       text             NOT NULL,
    PRIMARY KEY (tenant, seq)
);
CREATE INDEX access_log_by_student ON access_log (tenant, student, seq DESC);

-- Deletions of a user's data: done by a job that goes on where it was cut off.
CREATE TABLE erasures (
    id           text COLLATE "C" PRIMARY KEY,
    tenant       text COLLATE "C" NOT NULL,
    user_id      text COLLATE "C" NOT NULL,
    requested_by text COLLATE "C" NOT NULL,
    requested_at timestamptz      NOT NULL,
    state        text COLLATE "C" NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done')),
    erased_tasks bigint           NOT NULL DEFAULT 0,
    error        text,                       -- of the last try
    updated_at   timestamptz      NOT NULL,
    finished_at  timestamptz
);
CREATE INDEX erasures_open ON erasures (requested_at) WHERE state <> 'done';
CREATE INDEX erasures_by_user ON erasures (tenant, user_id);

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tasks', 'results', 'task_events', 'ledger', 'users', 'password_history', 'sessions', 'backup_codes', 'passkeys',
        'one_time_tokens', 'classes', 'class_members', 'guardians', 'shares', 'api_keys', 'audit_log', 'access_log', 'erasures']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY of_tenant ON %I TO toolboxai_tenant USING (tenant = current_setting(''toolboxai.tenant'', true))', name);
    END LOOP;
END $$;
-- +goose StatementEnd
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON tenants TO toolboxai_tenant USING (id = current_setting('toolboxai.tenant', true));

-- Behind row-level security an index serves only operators that are leakproof, which those of jsonb are not. A view shows the tenant's
-- rows in its owner's rights, so that the index on labels can be used: the lock is the view's condition.
CREATE VIEW tasks_of_tenant AS SELECT * FROM tasks WHERE tenant = current_setting('toolboxai.tenant', true);

GRANT SELECT ON tasks_of_tenant, tasks, results, task_events, ledger, recorder_position, audit_log, access_log, tenants TO toolboxai_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON users, password_history, sessions, backup_codes, passkeys, one_time_tokens, classes, class_members,
    guardians, shares, api_keys TO toolboxai_tenant;
GRANT SELECT, INSERT ON erasures TO toolboxai_tenant;

-- +goose Down
DROP VIEW tasks_of_tenant;
DROP POLICY of_tenant ON tasks;
DROP POLICY of_tenant ON results;
DROP POLICY of_tenant ON task_events;
DROP POLICY of_tenant ON ledger;
ALTER TABLE tasks DISABLE ROW LEVEL SECURITY;
ALTER TABLE results DISABLE ROW LEVEL SECURITY;
ALTER TABLE task_events DISABLE ROW LEVEL SECURITY;
ALTER TABLE ledger DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON tasks, results, task_events, ledger, recorder_position FROM toolboxai_tenant;
DROP TABLE erasures, access_log, audit_log, api_keys, shares, guardians, class_members, classes, one_time_tokens, passkeys, backup_codes,
    sessions, password_history, users, tenants;
