-- Counts a change of annotations in their project: in its row where nobody holds that and no import is at work, else in
-- project_changes, which the next one adds up who finds the row free. So nobody waits for the row. Each of an import's
-- annotations looks the row up, and every version of it that was made meanwhile would lie in the way until the import
-- ends.
CREATE FUNCTION count_in_project_1(p_project_id text, p_annotations integer, p_images integer, p_user_id integer)
RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_waiting record;
BEGIN
    PERFORM FROM annotation_projects
    WHERE id = p_project_id
      AND NOT EXISTS (
          SELECT FROM importing_images m
          WHERE m.project_id = p_project_id
            AND NOT pg_visible_in_snapshot(m.import_id::text::xid8, pg_current_snapshot())
            AND m.started_at > v_now - interval '1 hour'
      )
    FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        INSERT INTO project_changes (project_id, annotations, images, changed_by, changed_at)
        VALUES (p_project_id, p_annotations, p_images, p_user_id, v_now);
        RETURN;
    END IF;
    WITH taken AS (
        DELETE FROM project_changes c WHERE c.project_id = p_project_id RETURNING c.annotations, c.images
    )
    SELECT coalesce(sum(t.annotations), 0)::integer AS annotations, coalesce(sum(t.images), 0)::integer AS images,
           count(*) AS number
    INTO v_waiting FROM taken t;
    UPDATE annotation_projects
    SET total_annotations = total_annotations + p_annotations + v_waiting.annotations,
        annotated_images = annotated_images + p_images + v_waiting.images,
        revision = revision + 1 + v_waiting.number, last_updated_by = p_user_id, updated_at = v_now
    WHERE id = p_project_id;
END;
$function$;
