-- As count_in_project_1, for a function that has set search_path and its plans. Looks for what waits to be added up in
-- the statement that takes the project's row: mostly there is nothing. What comes later is added up by the next one.
-- Returns true, so that it can be called by an assignment.
CREATE FUNCTION count_in_project_2(p_project_id text, p_annotations integer, p_images integer, p_user_id integer)
RETURNS boolean
LANGUAGE plpgsql
AS $function$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_waits boolean;
    v_annotations integer := p_annotations;
    v_images integer := p_images;
    v_number bigint := 0;
BEGIN
    SELECT EXISTS (SELECT FROM project_changes c WHERE c.project_id = p.id) INTO v_waits
    FROM annotation_projects p
    WHERE p.id = p_project_id
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
        RETURN true;
    END IF;
    IF v_waits THEN
        WITH taken AS (
            DELETE FROM project_changes c WHERE c.project_id = p_project_id RETURNING c.annotations, c.images
        )
        SELECT p_annotations + coalesce(sum(t.annotations), 0), p_images + coalesce(sum(t.images), 0), count(*)
        INTO v_annotations, v_images, v_number FROM taken t;
    END IF;
    UPDATE annotation_projects
    SET total_annotations = total_annotations + v_annotations, annotated_images = annotated_images + v_images,
        revision = revision + 1 + v_number, last_updated_by = p_user_id, updated_at = v_now
    WHERE id = p_project_id;
    RETURN true;
END;
$function$;
