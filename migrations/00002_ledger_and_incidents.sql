-- What an operator asks of the archive: what was spent, which troubles there are, what a schedule or a workflow made.
--
-- Nothing is computed here. What earlier releases recorded is filled in by postgres.Backfill: it folds, and that is Go.

-- +goose Up
ALTER TABLE tasks
    ADD COLUMN schedule  text COLLATE "C", -- that made it
    ADD COLUMN workflow  text COLLATE "C", -- that it is a step of
    ADD COLUMN error     text COLLATE "C", -- of the last failure, clipped and in lower case: what searches read
    ADD COLUMN failed_at timestamptz;      -- in state failed

CREATE INDEX tasks_by_schedule ON tasks (tenant, schedule, created_at DESC, id DESC) WHERE schedule IS NOT NULL;
CREATE INDEX tasks_by_workflow ON tasks (tenant, workflow, created_at DESC, id DESC) WHERE workflow IS NOT NULL;
CREATE INDEX tasks_failures ON tasks (tenant, created_at DESC, id DESC) WHERE error IS NOT NULL;
CREATE INDEX tasks_incidents ON tasks (tenant, fingerprint, failed_at DESC, id DESC) INCLUDE (kind, cause) WHERE dead_letter;

-- What models cost: a row for each event that brought usage, by its place in the log, so that it is counted once.
CREATE TABLE ledger (
    seq           bigint           PRIMARY KEY,
    at            timestamptz      NOT NULL,
    cost          bigint           NOT NULL, -- micro-USD of the calls whose price is known
    input_tokens  bigint           NOT NULL,
    output_tokens bigint           NOT NULL,
    calls         bigint           NOT NULL,
    priced        boolean          NOT NULL, -- false when the price of any of the calls is not known
    tenant        text COLLATE "C" NOT NULL,
    task          text COLLATE "C" NOT NULL,
    user_id       text COLLATE "C" NOT NULL,
    workflow      text COLLATE "C" NOT NULL, -- empty for none
    kind          text COLLATE "C" NOT NULL,
    provider      text COLLATE "C" NOT NULL, -- empty where the event does not say
    model         text COLLATE "C" NOT NULL
);
CREATE INDEX ledger_by_tenant ON ledger (tenant, at) INCLUDE (user_id, cost, input_tokens, output_tokens);
CREATE INDEX ledger_by_workflow ON ledger (tenant, workflow, at) WHERE workflow <> '';
CREATE INDEX ledger_by_time ON ledger USING brin (at) WITH (pages_per_range = 32, autosummarize = on);

-- Events up to backfill_to were recorded by a release that knew nothing of the above; this one's last is own_seq. When the
-- two releases record by turns during a deploy, own_seq falls behind seq, and that is how this one notices.
ALTER TABLE recorder_position
    ADD COLUMN backfill_to bigint NOT NULL DEFAULT 0,
    ADD COLUMN own_seq     bigint NOT NULL DEFAULT 0;
UPDATE recorder_position SET backfill_to = seq, own_seq = seq;

-- +goose Down
ALTER TABLE recorder_position
    DROP COLUMN own_seq,
    DROP COLUMN backfill_to;
DROP TABLE ledger;
DROP INDEX tasks_incidents, tasks_failures, tasks_by_workflow, tasks_by_schedule;
ALTER TABLE tasks
    DROP COLUMN failed_at,
    DROP COLUMN error,
    DROP COLUMN workflow,
    DROP COLUMN schedule;
