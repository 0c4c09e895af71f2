-- Whom tenants want to be told by HTTP, and what was sent to them: see package callback.
--
-- Deliveries follow from the log and are kept for 30 days; endpoints and secrets are kept here alone.

-- +goose Up
CREATE TABLE callback_endpoints (
    tenant         text COLLATE "C" NOT NULL,
    id             text COLLATE "C" NOT NULL,
    url            text             NOT NULL,
    description    text             NOT NULL,
    events         text[]           NOT NULL, -- empty: all that there are
    state          text COLLATE "C" NOT NULL CHECK (state IN ('active', 'disabled')),
    reason         text             NOT NULL, -- why it is disabled
    secret         bytea            NOT NULL, -- sealed
    previous       bytea,                     -- the one before it, sealed; good until previous_until
    previous_until timestamptz,
    created_at     timestamptz      NOT NULL,
    updated_at     timestamptz      NOT NULL,
    version        bigint           NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- What signs the callbacks of single tasks.
CREATE TABLE callback_secrets (
    tenant         text COLLATE "C" PRIMARY KEY,
    secret         bytea            NOT NULL, -- as in callback_endpoints
    previous       bytea,
    previous_until timestamptz
);

-- Who is called: an endpoint, or the origin of tasks' URLs. Whoever changes a target's deliveries locks its row first, but for what
-- removes them.
CREATE TABLE callback_targets (
    tenant    text COLLATE "C" NOT NULL,
    target    text COLLATE "C" NOT NULL,
    failures  integer          NOT NULL DEFAULT 0, -- tries in a row
    due_at    timestamptz      NOT NULL,           -- nothing can be claimed before; infinity when nothing waits
    served_at timestamptz      NOT NULL DEFAULT 'epoch',
    PRIMARY KEY (tenant, target)
);
CREATE INDEX callback_targets_due ON callback_targets (due_at);

CREATE TABLE callback_deliveries (
    tenant       text COLLATE "C" NOT NULL,
    id           text COLLATE "C" NOT NULL, -- follows from the event and the target
    target       text COLLATE "C" NOT NULL,
    endpoint     text COLLATE "C",          -- null: the URL is the task's
    url          text,                      -- null: the endpoint's present one
    task         text COLLATE "C" NOT NULL, -- empty for a test
    type         text COLLATE "C" NOT NULL,
    seq          bigint           NOT NULL,
    body         bytea            NOT NULL,
    state        text COLLATE "C" NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempt      integer          NOT NULL DEFAULT 0,
    last_status  integer          NOT NULL DEFAULT 0,
    last_error   text             NOT NULL DEFAULT '',
    next_at      timestamptz      NOT NULL,           -- when it is due; while it is leased, the end of the lease
    leased_until timestamptz,
    expires_at   timestamptz      NOT NULL,
    created_at   timestamptz      NOT NULL,
    finished_at  timestamptz,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, endpoint) REFERENCES callback_endpoints (tenant, id)
);
CREATE INDEX callback_deliveries_due ON callback_deliveries (tenant, target, next_at, id) WHERE state = 'pending';
CREATE INDEX callback_deliveries_leased ON callback_deliveries (tenant, target, leased_until) WHERE leased_until IS NOT NULL;
CREATE INDEX callback_deliveries_expiry ON callback_deliveries (expires_at) WHERE state = 'pending';
CREATE INDEX callback_deliveries_open ON callback_deliveries (state, next_at) WHERE state <> 'delivered';
CREATE INDEX callback_deliveries_by_time ON callback_deliveries (tenant, created_at DESC, id DESC);
CREATE INDEX callback_deliveries_by_endpoint ON callback_deliveries (tenant, endpoint, created_at DESC, id DESC);
CREATE INDEX callback_deliveries_by_task ON callback_deliveries (tenant, task);
CREATE INDEX callback_deliveries_by_age ON callback_deliveries (created_at);

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['callback_endpoints', 'callback_secrets', 'callback_targets', 'callback_deliveries']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY of_tenant ON %I TO toolboxai_tenant USING (tenant = current_setting(''toolboxai.tenant'', true))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO toolboxai_tenant', name);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE callback_deliveries, callback_targets, callback_secrets, callback_endpoints;
