-- What was done and who looked at what, kept from being changed. The hashes of audit_log prove that nobody did; the triggers keep
-- honest programs, and their owner, from doing it by mistake.

-- +goose Up

-- How far the streams AUDIT and ACCESS have been copied.
CREATE TABLE audit_places (
    stream  text COLLATE "C" PRIMARY KEY,
    epoch   timestamptz NOT NULL, -- when the stream was made: another one begins at 1 again
    seq     bigint      NOT NULL,
    updated timestamptz NOT NULL
);

-- Up to where a chain was purged: what is left of it is proved from there.
CREATE TABLE audit_anchors (
    tenant    text COLLATE "C" PRIMARY KEY,
    n         bigint      NOT NULL CHECK (n > 0),
    hash      bytea       NOT NULL CHECK (length(hash) = 32),
    purged_at timestamptz NOT NULL
);
ALTER TABLE audit_anchors ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON audit_anchors TO toolboxai_tenant USING (tenant = current_setting('toolboxai.tenant', true));
GRANT SELECT ON audit_places, audit_anchors TO toolboxai_tenant;

-- An access has an id, which stays the same whichever stream it came through.
DROP TABLE access_log;
CREATE TABLE access_log (
    tenant   text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL, -- a UUIDv7: in the order of time
    at       timestamptz      NOT NULL,
    actor    text COLLATE "C" NOT NULL,
    student  text COLLATE "C" NOT NULL,
    resource text             NOT NULL, -- such as "task 0199…"
    route    text             NOT NULL,
    ip       text             NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX access_log_by_student ON access_log (tenant, student, id DESC);
CREATE INDEX access_log_by_actor ON access_log (tenant, actor, id DESC);
CREATE INDEX access_log_by_time ON access_log (tenant, at);
ALTER TABLE access_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON access_log TO toolboxai_tenant USING (tenant = current_setting('toolboxai.tenant', true));
GRANT SELECT ON access_log TO toolboxai_tenant;

-- A purge says in its transaction whose rows it takes, and of a chain only up to its anchor.
-- +goose StatementBegin
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('toolboxai.purge', true) = OLD.tenant THEN
        IF TG_TABLE_NAME = 'access_log' THEN
            RETURN OLD;
        END IF;
        IF EXISTS (SELECT FROM audit_anchors a WHERE a.tenant = OLD.tenant AND a.n >= (to_jsonb(OLD) ->> 'n')::bigint) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit: % of % is refused: it only grows', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION audit_anchor_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.tenant = OLD.tenant AND NEW.n >= OLD.n AND current_setting('toolboxai.purge', true) = OLD.tenant THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit: % of % is refused: a purge only goes on', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON access_log FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON access_log FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER forward BEFORE UPDATE OR DELETE ON audit_anchors FOR EACH ROW EXECUTE FUNCTION audit_anchor_forward();
CREATE TRIGGER forward_whole BEFORE TRUNCATE ON audit_anchors FOR EACH STATEMENT EXECUTE FUNCTION audit_anchor_forward();

-- +goose Down
DROP TRIGGER append_only ON audit_log;
DROP TRIGGER append_only_whole ON audit_log;
DROP TABLE access_log, audit_anchors, audit_places;
DROP FUNCTION audit_append_only;
DROP FUNCTION audit_anchor_forward;
CREATE TABLE access_log (
    tenant   text COLLATE "C" NOT NULL,
    seq      bigint           NOT NULL,
    at       timestamptz      NOT NULL,
    actor    text COLLATE "C" NOT NULL,
    student  text COLLATE "C" NOT NULL,
    resource text             NOT NULL,
    route    text             NOT NULL,
    ip       text             NOT NULL,
    PRIMARY KEY (tenant, seq)
);
CREATE INDEX access_log_by_student ON access_log (tenant, student, seq DESC);
ALTER TABLE access_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON access_log TO toolboxai_tenant USING (tenant = current_setting('toolboxai.tenant', true));
GRANT SELECT ON access_log TO toolboxai_tenant;
