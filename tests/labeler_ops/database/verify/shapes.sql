-- What a labeler's database has little of and a verifier must still see: one of each kind of thing.
CREATE EXTENSION pg_trgm;
CREATE SCHEMA archive;
CREATE TYPE mood AS ENUM ('calm', 'busy', 'lost');
CREATE DOMAIN percent AS int DEFAULT 0 CHECK (VALUE BETWEEN 0 AND 100);
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE things (
    id bigserial PRIMARY KEY,
    name text NOT NULL,
    note text,
    weight float8,
    price numeric(10, 2),
    mood mood DEFAULT 'calm',
    share percent,
    facts jsonb,
    raw bytea,
    seen_at timestamptz,
    wall_time timestamp,
    tags text[],
    doubled int GENERATED ALWAYS AS (twice(1)) STORED,
    state varchar(20) NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'done', 'it''s])over')),
    CONSTRAINT name_given CHECK (name <> '')
);
CREATE TABLE parts (
    thing_id bigint REFERENCES things ON DELETE CASCADE,
    position int,
    label text,
    PRIMARY KEY (thing_id, position)
);
CREATE TABLE log (line text, at timestamptz);  -- no key
CREATE TABLE archive.things (id int PRIMARY KEY, name text);
CREATE TABLE kinds (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE kinds_1 PARTITION OF kinds FOR VALUES IN (1, 2);
CREATE INDEX things_name ON things (name);
CREATE UNIQUE INDEX things_busy ON things (name) WHERE mood = 'busy';
CREATE VIEW heavy AS SELECT id FROM things WHERE weight > 10;
CREATE TRIGGER touched BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION touch();
CREATE SEQUENCE tickets START 100 INCREMENT -1 MINVALUE 1 MAXVALUE 100;
ALTER TABLE archive.things ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON archive.things USING (true);
COMMENT ON TABLE things IS 'what there is';
COMMENT ON COLUMN things.weight IS 'kilograms';
-- What a labeler's database has none of, and a database of the platform may have.
CREATE TYPE place AS (x float8, y float8);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE AGGREGATE longest(int) (SFUNC = int4larger, STYPE = int, INITCOND = '0');
CREATE FUNCTION as_mood(n int) RETURNS mood LANGUAGE sql IMMUTABLE AS $$SELECT 'calm'::mood$$;
CREATE CAST (int AS mood) WITH FUNCTION as_mood(int);
CREATE COLLATION spoken (provider = icu, locale = 'ko');
CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple, accept = false);
CREATE TEXT SEARCH CONFIGURATION search (COPY = simple);
CREATE STATISTICS together (dependencies) ON name, note FROM things;
CREATE RULE kept AS ON INSERT TO archive.things DO ALSO NOTHING;
CREATE VIEW asked WITH (security_invoker = true) AS SELECT id FROM things;
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
COMMENT ON FUNCTION twice(int) IS 'two of it';
COMMENT ON SCHEMA archive IS 'what was';
COMMENT ON CONSTRAINT name_given ON things IS 'a name is given';
GRANT SELECT ON things TO pg_monitor;
GRANT UPDATE (note) ON things TO pg_monitor WITH GRANT OPTION;
ALTER FUNCTION touch() OWNER TO pg_monitor;
ALTER DEFAULT PRIVILEGES IN SCHEMA archive GRANT SELECT ON TABLES TO pg_monitor;
CREATE POLICY watched ON archive.things FOR SELECT TO pg_monitor USING (true);

INSERT INTO things (name, note, weight, price, mood, share, facts, raw, seen_at, wall_time, tags)
SELECT 'thing ' || n, CASE WHEN n % 3 = 0 THEN NULL WHEN n % 3 = 1 THEN '' ELSE '메모 ' || n END, n * 0.1, n * 1.25,
       (ARRAY['calm', 'busy', 'lost']::mood[])[1 + n % 3], n % 101, jsonb_build_object('n', n, 'a', 'x'), decode(md5(n::text), 'hex'),
       '2026-01-01 00:00:00+00'::timestamptz + n * interval '1.5 s', '2026-01-01'::timestamp + n * interval '1 h', ARRAY['t' || n, NULL]
FROM generate_series(1, 1000) n;
INSERT INTO parts SELECT n, k, 'part ' || k FROM generate_series(1, 1000) n, generate_series(1, 3) k;
INSERT INTO log SELECT 'line ' || n % 10, '2026-01-01 00:00:00+00'::timestamptz + n % 7 * interval '1 s' FROM generate_series(1, 500) n;
INSERT INTO archive.things VALUES (1, 'old');
INSERT INTO kinds VALUES (1), (2);
SELECT nextval('tickets');
SELECT lo_from_bytea(70001, '\x00ff');
CREATE MATERIALIZED VIEW counted AS SELECT mood, count(*) AS n FROM things GROUP BY mood;
