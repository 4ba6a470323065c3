-- Brings status rows, counters and the revision up to date after a write, under the locks of the images, so that
-- nothing counted here can change. What exists is updated and not upserted: an upsert would take a number of the
-- sequence each time. Names every (image, task) at most once; returns the statuses that remain.
CREATE FUNCTION refresh_progress_1(
    p_project_id text, p_image_ids text[], p_task_types text[], p_effects text[], p_added integer[], p_user_id integer
) RETURNS TABLE (
    image_id text, task_type text, status text, is_image_confirmed boolean, confirmed_at timestamptz,
    total_annotations integer, confirmed_annotations integer
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_annotations integer;
    v_images integer;
BEGIN
    -- A batch looks for imports before it has waited for the locks of its images. What began meanwhile is seen here: an
    -- error, so that nothing is kept, and the next try is refused when it claims the image.
    IF EXISTS (
        SELECT FROM status_changes_1(p_image_ids, p_task_types, p_effects, p_added) t
        CROSS JOIN LATERAL (
            SELECT FROM importing_images m
            WHERE m.project_id = p_project_id AND m.image_id = t.image_id
              AND NOT pg_visible_in_snapshot(m.import_id::text::xid8, pg_current_snapshot())
              AND m.started_at > clock_timestamp() - interval '1 hour'
            LIMIT 1
        ) marked
    ) THEN
        RAISE EXCEPTION 'an import began on the image' USING ERRCODE = 'LB002';
    END IF;
    WITH images AS (
        SELECT t.image_id, sum(t.added) AS added,
               (
                   SELECT count(*) FROM annotations a WHERE a.project_id = p_project_id AND a.image_id = t.image_id
               ) AS present
        FROM status_changes_1(p_image_ids, p_task_types, p_effects, p_added) t GROUP BY t.image_id
    )
    SELECT coalesce(sum(added), 0), count(*) FILTER (WHERE present > 0) - count(*) FILTER (WHERE present > added)
    INTO v_annotations, v_images FROM images;
    PERFORM count_in_project_1(p_project_id, v_annotations, v_images, p_user_id);
    RETURN QUERY
    WITH touched AS (
        SELECT * FROM status_changes_1(p_image_ids, p_task_types, p_effects, p_added)
    ),
    counted AS (
        SELECT t.image_id, t.task_type, t.effect,
               count(a.id)::int AS total,
               (count(a.id) FILTER (WHERE a.annotation_state = 'confirmed'))::int AS confirmed,
               (count(a.id) FILTER (WHERE a.annotation_state = 'draft'))::int AS drafts,
               (count(a.id) FILTER (WHERE a.annotation_type = 'no_object'))::int AS no_objects,
               min(a.created_at) AS first_modified_at, max(a.updated_at) AS last_modified_at
        FROM touched t
        LEFT JOIN annotations a ON a.project_id = p_project_id AND a.image_id = t.image_id AND a.task_type = t.task_type
        GROUP BY t.image_id, t.task_type, t.effect
    ),
    decided AS (
        SELECT c.*, s.id AS status_id, s.confirmed_at AS was_confirmed_at,
               c.effect = 'confirm' OR (c.effect = 'confirm_if_complete' AND c.drafts = 0) AS is_new,
               c.effect <> 'clear' AND coalesce(s.is_image_confirmed, false) AS is_kept
        FROM counted c
        LEFT JOIN image_annotation_status s
          ON s.project_id = p_project_id AND s.image_id = c.image_id AND s.task_type = c.task_type
    ),
    target AS (
        SELECT d.*, is_new OR is_kept AS flag,
               CASE WHEN is_new OR is_kept THEN 'completed' ELSE 'in-progress' END AS status,
               CASE WHEN is_new THEN v_now WHEN is_kept THEN was_confirmed_at END AS confirmed_at
        FROM decided d
    ),
    -- As arrays: a plan that was made for empty tables would go through all rows to join these.
    gone AS (
        DELETE FROM image_annotation_status s
        WHERE s.id = ANY (ARRAY(SELECT t.status_id FROM target t WHERE t.total = 0))
    ),
    changed AS (
        UPDATE image_annotation_status s
        SET status = t.status, is_image_confirmed = t.flag, confirmed_at = t.confirmed_at,
            first_modified_at = t.first_modified_at, last_modified_at = t.last_modified_at,
            total_annotations = t.total, confirmed_annotations = t.confirmed, draft_annotations = t.drafts,
            no_object_annotations = t.no_objects, counted_total = t.total, counted_modified_at = t.last_modified_at
        FROM target t
        WHERE s.id = t.status_id AND t.total > 0
          AND s.id = ANY (ARRAY(SELECT i.status_id FROM target i WHERE i.total > 0))
    ),
    made AS (
        INSERT INTO image_annotation_status (
            project_id, image_id, task_type, status, is_image_confirmed, confirmed_at, first_modified_at,
            last_modified_at, total_annotations, confirmed_annotations, draft_annotations,
            no_object_annotations, counted_total, counted_modified_at)
        SELECT p_project_id, image_id, task_type, status, flag, confirmed_at, first_modified_at, last_modified_at,
               total, confirmed, drafts, no_objects, total, last_modified_at
        FROM target WHERE status_id IS NULL AND total > 0
    )
    SELECT image_id, task_type, status, flag AS is_image_confirmed, confirmed_at,
           total AS total_annotations, confirmed AS confirmed_annotations
    FROM target WHERE total > 0 ORDER BY image_id, task_type;
END;
$function$;
