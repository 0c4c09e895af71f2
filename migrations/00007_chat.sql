-- Conversations with an assistant: see package chat.
--
-- A message's row is written before its task; what came of it is copied here from the log.

-- +goose Up
CREATE TABLE chat_conversations (
    tenant     text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    title      text             NOT NULL,
    archived   boolean          NOT NULL,
    turns      integer          NOT NULL DEFAULT 0, -- also the number of the last message
    created_at timestamptz      NOT NULL,
    updated_at timestamptz      NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX chat_conversations_by_user ON chat_conversations (tenant, user_id, archived, updated_at DESC, id DESC);

CREATE TABLE chat_messages (
    tenant       text COLLATE "C" NOT NULL,
    id           text COLLATE "C" NOT NULL,
    conversation text COLLATE "C" NOT NULL,
    n            integer          NOT NULL,
    text         text             NOT NULL,
    task         text COLLATE "C" NOT NULL,
    state        text COLLATE "C" NOT NULL CHECK (state IN ('open', 'answered', 'failed', 'cancelled')),
    input        json,            -- of the task, while the message is open
    answer       json,
    error        json,
    created_at   timestamptz      NOT NULL,
    settled_at   timestamptz,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, conversation, n),
    FOREIGN KEY (tenant, conversation) REFERENCES chat_conversations (tenant, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX chat_messages_open ON chat_messages (tenant, conversation) WHERE state = 'open';
CREATE INDEX chat_messages_by_age ON chat_messages (tenant, created_at);

-- The tasks of turns whose conversation was deleted: they are deleted, too, and then their rows here.
CREATE TABLE chat_deleted (
    tenant     text COLLATE "C" NOT NULL,
    task       text COLLATE "C" NOT NULL,
    deleted_at timestamptz      NOT NULL,
    PRIMARY KEY (tenant, task)
);
CREATE INDEX chat_deleted_by_time ON chat_deleted (deleted_at);

-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['chat_conversations', 'chat_messages', 'chat_deleted']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY of_tenant ON %I TO toolboxai_tenant USING (tenant = current_setting(''toolboxai.tenant'', true))', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO toolboxai_tenant', name);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE chat_deleted, chat_messages, chat_conversations;
