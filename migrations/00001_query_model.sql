-- The query model: everything here is derived from the log and can be rebuilt from it.
--
-- Bodies are json, never jsonb: jsonb refuses \u0000 and rewrites numbers and keys, and what is on record must come back
-- byte for byte. Identifiers compare bytewise (COLLATE "C"): the order of a list does not depend on the server's locale.

-- +goose Up
CREATE TABLE tasks (
    tenant      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    seq         bigint           NOT NULL, -- log sequence of the last event in doc
    kind        text COLLATE "C" NOT NULL,
    user_id     text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL,
    cause       text COLLATE "C",          -- of the last failure
    fingerprint text COLLATE "C",          -- of the last failure's error
    dead_letter boolean          NOT NULL,
    labels      jsonb            NOT NULL, -- {"<tenant>": {labels}}, or {}: the index on it is bound to the tenant that way
    created_at  timestamptz      NOT NULL,
    doc         json             NOT NULL, -- the folded task without what has a column of its own below
    input       json,
    raw         bytea,                     -- of an undecodable dispatch
    PRIMARY KEY (tenant, id)
) WITH (fillfactor = 85);

-- One index for each way to ask; all of them end in the order of the list, so that a page is read and never sorted.
CREATE INDEX tasks_by_time ON tasks (tenant, created_at DESC, id DESC);
CREATE INDEX tasks_by_state ON tasks (tenant, state, created_at DESC, id DESC);
CREATE INDEX tasks_by_kind ON tasks (tenant, kind, created_at DESC, id DESC);
CREATE INDEX tasks_by_user ON tasks (tenant, user_id, created_at DESC, id DESC);
CREATE INDEX tasks_dead_letters ON tasks (tenant, created_at DESC, id DESC) WHERE dead_letter;
CREATE INDEX tasks_by_fingerprint ON tasks (tenant, fingerprint, created_at DESC, id DESC) WHERE fingerprint IS NOT NULL;
CREATE INDEX tasks_by_label ON tasks USING gin (labels jsonb_path_ops) WHERE labels <> '{}';

CREATE TABLE results (
    tenant         text COLLATE "C" NOT NULL,
    task           text COLLATE "C" NOT NULL,
    completed_at   timestamptz      NOT NULL,
    result         json,
    calls          bigint           NOT NULL,
    input_tokens   bigint           NOT NULL,
    output_tokens  bigint           NOT NULL,
    cost_usd       numeric,                   -- null when the price of any call is not known
    generated_by   text             NOT NULL,
    provider       text             NOT NULL,
    model          text             NOT NULL,
    prompt_version text             NOT NULL,
    cache_hit      boolean          NOT NULL,
    offline        boolean          NOT NULL, -- written by the offline composer
    PRIMARY KEY (tenant, task)
);

CREATE TABLE task_events (
    tenant      text COLLATE "C" NOT NULL,
    task        text COLLATE "C" NOT NULL,
    seq         bigint           NOT NULL,
    id          text             NOT NULL,
    type        text             NOT NULL,
    source      text             NOT NULL,
    time        timestamptz      NOT NULL,
    time_nanos  smallint         NOT NULL, -- 0 to 999: the part of time that timestamptz cannot hold
    traceparent text,
    data        json,
    raw         bytea,                     -- stands in for data when that was set aside
    set_aside   text,                      -- why the event is not in the task's state, or why its body is no json
    PRIMARY KEY (tenant, task, seq)
);

-- How far the recorder has come: one row, also the lock that makes recorders take turns.
CREATE TABLE recorder_position (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    seq         bigint      NOT NULL,
    event_time  timestamptz NOT NULL, -- of the event with that sequence
    recorded_at timestamptz NOT NULL
);
INSERT INTO recorder_position (seq, event_time, recorded_at) VALUES (0, to_timestamp(0), to_timestamp(0));

-- +goose Down
DROP TABLE recorder_position;
DROP TABLE task_events;
DROP TABLE results;
DROP TABLE tasks;
