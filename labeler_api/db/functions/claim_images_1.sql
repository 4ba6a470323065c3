-- Claims images for a user, all at once, as claim_image_1 does one, and has other writers of them wait until the
-- transaction ends. `mine` are those that the user may write to; of each of the others `refused` has the lock, and
-- `reasons` 'locked' by somebody else, 'importing', or 'missing' where the dataset lacks the image. Images are taken in
-- the order of ids, so that no two writers of several wait for each other. Raises 40001 after too many collisions.
-- However many images there are, each is found by keys, and looks among them (NOT IN, IN … IS TRUE) are hashed.
CREATE FUNCTION claim_images_1(
    p_project_id text, p_dataset_id text, p_image_ids text[], p_user_id integer, p_seconds integer,
    OUT mine text[], OUT refused image_locks[], OUT reasons text[]
)
LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_left text[];
    v_locks image_locks[];
    v_claimed text[];
BEGIN
    mine := '{}';
    v_left := ARRAY(
        SELECT asked.image_id
        FROM (SELECT DISTINCT unnest(p_image_ids) AS image_id ORDER BY image_id) asked
        CROSS JOIN LATERAL (
            SELECT FROM image_metadata i
            WHERE i.dataset_id = p_dataset_id AND i.id = asked.image_id LIMIT 1 FOR NO KEY UPDATE
        ) there
    );
    refused := ARRAY(
        SELECT jsonb_populate_record(NULL::image_locks, jsonb_build_object('image_id', asked.image_id))
        FROM (SELECT DISTINCT unnest(p_image_ids) AS image_id) asked
        WHERE (asked.image_id NOT IN (SELECT unnest(v_left))) IS TRUE
    );
    reasons := array_fill('missing'::text, ARRAY[cardinality(refused)]);
    -- An image that an import is at work on is nobody else's, not even the importer's.
    v_locks := ARRAY(
        SELECT i
        FROM (
            SELECT DISTINCT m.image_id FROM importing_images m
            WHERE m.project_id = p_project_id AND m.image_id = ANY (v_left)
        ) marked
        CROSS JOIN LATERAL import_at_work_1(p_project_id, marked.image_id) i
        WHERE i.image_id IS NOT NULL
    );
    refused := refused || v_locks;
    reasons := reasons || array_fill('importing'::text, ARRAY[cardinality(v_locks)]);
    v_left := ARRAY(
        SELECT u.image_id FROM unnest(v_left) WITH ORDINALITY AS u (image_id, place)
        WHERE (u.image_id NOT IN (SELECT l.image_id FROM unnest(v_locks) l)) IS TRUE ORDER BY u.place
    );
    FOR v_try IN 1..5 LOOP
        EXIT WHEN cardinality(v_left) = 0;
        v_now := clock_timestamp();
        WITH wanted AS MATERIALIZED (
            SELECT asked.image_id, found.id AS lock_id
            FROM unnest(v_left) AS asked (image_id)
            LEFT JOIN LATERAL (
                SELECT l.id FROM image_locks l
                WHERE l.project_id = p_project_id AND l.image_id = asked.image_id LIMIT 1
            ) found ON true
        ),
        renewed AS (
            UPDATE image_locks AS held SET
                user_id = p_user_id,
                heartbeat_at = v_now,
                locked_at = CASE WHEN held.user_id = p_user_id AND held.expires_at > v_now
                    THEN held.locked_at ELSE v_now END,
                lease_seconds = CASE WHEN held.user_id = p_user_id AND held.expires_at > v_now
                    THEN greatest(held.lease_seconds, p_seconds) ELSE p_seconds END,
                expires_at = CASE WHEN held.user_id = p_user_id AND held.expires_at > v_now
                    THEN greatest(
                        held.expires_at, v_now + make_interval(secs => greatest(held.lease_seconds, p_seconds))
                    )
                    ELSE v_now + make_interval(secs => p_seconds) END
            FROM wanted
            WHERE held.id = wanted.lock_id AND (held.user_id = p_user_id OR held.expires_at <= v_now)
            RETURNING held.image_id
        ),
        made AS (
            INSERT INTO image_locks (project_id, image_id, user_id, locked_at, heartbeat_at, expires_at, lease_seconds)
            SELECT p_project_id, w.image_id, p_user_id, v_now, v_now, v_now + make_interval(secs => p_seconds),
                   p_seconds
            FROM wanted w WHERE w.lock_id IS NULL ORDER BY w.image_id
            ON CONFLICT ON CONSTRAINT uq_project_image_lock DO NOTHING
            RETURNING image_id
        )
        SELECT array_agg(c.image_id) INTO v_claimed
        FROM (SELECT image_id FROM renewed UNION ALL SELECT image_id FROM made) c;
        v_claimed := COALESCE(v_claimed, '{}');
        mine := mine || v_claimed;
        v_locks := ARRAY(
            SELECT l FROM image_locks l
            WHERE l.project_id = p_project_id AND l.image_id = ANY (v_left)
              AND l.user_id <> p_user_id AND l.expires_at > v_now
        );
        refused := refused || v_locks;
        reasons := reasons || array_fill('locked'::text, ARRAY[cardinality(v_locks)]);
        v_left := ARRAY(
            SELECT u.image_id FROM unnest(v_left) WITH ORDINALITY AS u (image_id, place)
            WHERE (u.image_id NOT IN (SELECT unnest(v_claimed))) IS TRUE
              AND (u.image_id NOT IN (SELECT l.image_id FROM unnest(v_locks) l)) IS TRUE
            ORDER BY u.place
        );
    END LOOP;
    IF cardinality(v_left) > 0 THEN
        RAISE EXCEPTION 'several people opened these images at the same moment' USING ERRCODE = '40001';
    END IF;
    -- An hour after its end nobody asks about a lock any more: some of those go with every claim.
    DELETE FROM image_locks WHERE id = ANY(ARRAY(
        SELECT l.id FROM image_locks l
        WHERE l.project_id = p_project_id AND l.expires_at < clock_timestamp() - interval '1 hour'
        LIMIT 100 FOR UPDATE SKIP LOCKED
    ));
END;
$function$;
