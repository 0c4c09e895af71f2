-- What agents should remember for somebody between their calls: see package agentcontext.

-- +goose Up
-- Whoever changes a context locks its row first.
CREATE TABLE agent_contexts (
    tenant     text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    changed_at timestamptz      NOT NULL,
    PRIMARY KEY (tenant, user_id)
);

CREATE TABLE agent_context_entries (
    tenant     text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    content    text             NOT NULL,
    priority   text COLLATE "C" NOT NULL CHECK (priority IN ('low', 'normal', 'high', 'critical')),
    tokens     integer          NOT NULL CHECK (tokens >= 0),
    source     text             NOT NULL,
    created_at timestamptz      NOT NULL,
    updated_at timestamptz      NOT NULL,
    PRIMARY KEY (tenant, user_id, key),
    FOREIGN KEY (tenant, user_id) REFERENCES agent_contexts (tenant, user_id) ON DELETE CASCADE
);

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['agent_contexts', 'agent_context_entries']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY of_tenant ON %I TO toolboxai_tenant USING (tenant = current_setting(''toolboxai.tenant'', true))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO toolboxai_tenant', name);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE agent_context_entries, agent_contexts;
