-- Claims an image for a user: extends their lock on it, or takes one for so many seconds. With p_hold other writers of
-- the image wait until the transaction ends. `outcome` is 'mine', 'locked' by somebody else, 'importing', 'missing' when
-- the dataset lacks the image, or 'changed' after too many collisions; `lock` is the image's lock as it is now.
-- A lock that was live and the user's keeps its beginning. An hour after its end nobody asks about a lock any more: a
-- few of those go with every lock that is made.
CREATE FUNCTION claim_image_1(
    p_project_id text, p_dataset_id text, p_image_id text, p_user_id integer, p_seconds integer, p_hold boolean,
    OUT outcome text, OUT lock image_locks
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
BEGIN
    IF p_hold THEN
        PERFORM FROM image_metadata i WHERE i.dataset_id = p_dataset_id AND i.id = p_image_id FOR NO KEY UPDATE;
    ELSE
        PERFORM FROM image_metadata i WHERE i.dataset_id = p_dataset_id AND i.id = p_image_id;
    END IF;
    IF NOT FOUND THEN
        outcome := 'missing';
        RETURN;
    END IF;
    -- An image that an import is at work on is nobody else's, not even the importer's.
    SELECT i.* INTO lock FROM import_at_work_1(p_project_id, p_image_id) i;
    IF lock.image_id IS NOT NULL THEN
        outcome := 'importing';
        RETURN;
    END IF;
    FOR v_try IN 1..5 LOOP
        v_now := clock_timestamp();
        UPDATE image_locks AS held SET
            user_id = p_user_id,
            heartbeat_at = v_now,
            locked_at = CASE WHEN held.user_id = p_user_id AND held.expires_at > v_now
                THEN held.locked_at ELSE v_now END,
            lease_seconds = CASE WHEN held.user_id = p_user_id AND held.expires_at > v_now
                THEN greatest(held.lease_seconds, p_seconds) ELSE p_seconds END,
            expires_at = CASE WHEN held.user_id = p_user_id AND held.expires_at > v_now
                THEN greatest(held.expires_at, v_now + make_interval(secs => greatest(held.lease_seconds, p_seconds)))
                ELSE v_now + make_interval(secs => p_seconds) END
        WHERE held.project_id = p_project_id AND held.image_id = p_image_id
          AND (held.user_id = p_user_id OR held.expires_at <= v_now)
        RETURNING held.* INTO lock;
        IF FOUND THEN
            outcome := 'mine';
            RETURN;
        END IF;
        INSERT INTO image_locks (project_id, image_id, user_id, locked_at, heartbeat_at, expires_at, lease_seconds)
        SELECT p_project_id, p_image_id, p_user_id, v_now, v_now, v_now + make_interval(secs => p_seconds), p_seconds
        WHERE NOT EXISTS (SELECT FROM image_locks l WHERE l.project_id = p_project_id AND l.image_id = p_image_id)
        ON CONFLICT ON CONSTRAINT uq_project_image_lock DO NOTHING
        RETURNING * INTO lock;
        IF FOUND THEN
            DELETE FROM image_locks WHERE id = ANY(ARRAY(
                SELECT l.id FROM image_locks l
                WHERE l.project_id = p_project_id AND l.image_id <> p_image_id
                  AND l.expires_at < v_now - interval '1 hour'
                LIMIT 100 FOR UPDATE SKIP LOCKED
            ));
            outcome := 'mine';
            RETURN;
        END IF;
        SELECT l.* INTO lock FROM image_locks l
        WHERE l.project_id = p_project_id AND l.image_id = p_image_id
          AND l.user_id <> p_user_id AND l.expires_at > v_now;
        IF FOUND THEN
            outcome := 'locked';
            RETURN;
        END IF;
    END LOOP;
    outcome := 'changed';
END;
$function$;
