-- An import that is at work on an image, as if it held the image's lock; NULL where there is none. A mark holds for as long
-- as the import's transaction is under way. The number of a transaction means something in one database only: a row that
-- came here with a copy of another one may name one that is still to come, and no import takes an hour.
CREATE FUNCTION import_at_work_1(p_project_id text, p_image_id text, OUT lock image_locks)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
BEGIN
    SELECT m.image_id, m.user_id, m.started_at, clock_timestamp(), clock_timestamp() + interval '1 minute'
    INTO lock.image_id, lock.user_id, lock.locked_at, lock.heartbeat_at, lock.expires_at
    FROM importing_images m
    WHERE m.project_id = p_project_id AND m.image_id = p_image_id
      AND NOT pg_visible_in_snapshot(m.import_id::text::xid8, pg_current_snapshot())
      AND m.started_at > clock_timestamp() - interval '1 hour'
    LIMIT 1;
END;
$function$;
