-- As claim_image_1 with p_hold, for a function that has set search_path and its plans. `lock` is told where the image is
-- somebody else's.
CREATE FUNCTION claim_image_2(
    p_project_id text, p_dataset_id text, p_image_id text, p_user_id integer, p_seconds integer,
    OUT outcome text, OUT lock image_locks
)
LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_claim record;
BEGIN
    PERFORM FROM image_metadata i WHERE i.dataset_id = p_dataset_id AND i.id = p_image_id FOR NO KEY UPDATE;
    IF FOUND THEN
        -- Mostly the lock is there, and theirs. The statement has seen what was committed while the image was waited for.
        v_now := clock_timestamp();
        UPDATE image_locks AS held SET
            heartbeat_at = v_now, lease_seconds = greatest(held.lease_seconds, p_seconds),
            expires_at = greatest(
                held.expires_at, v_now + make_interval(secs => greatest(held.lease_seconds, p_seconds))
            )
        WHERE held.project_id = p_project_id AND held.image_id = p_image_id
          AND held.user_id = p_user_id AND held.expires_at > v_now
          AND NOT EXISTS (
              SELECT FROM importing_images m
              WHERE m.project_id = p_project_id AND m.image_id = p_image_id
                AND NOT pg_visible_in_snapshot(m.import_id::text::xid8, pg_current_snapshot())
                AND m.started_at > v_now - interval '1 hour'
          );
        IF FOUND THEN
            outcome := 'mine';
            RETURN;
        END IF;
    END IF;
    v_claim := claim_image_1(p_project_id, p_dataset_id, p_image_id, p_user_id, p_seconds, true);
    outcome := v_claim.outcome;
    lock := v_claim.lock;
END;
$function$;
