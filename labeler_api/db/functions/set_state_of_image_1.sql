-- Confirms what is drawn on an image, of one task or (NULL) of all: the drafts become confirmed, and with 'draft' the
-- confirmed become drafts. No write in the sense of image locks. p_effect: as of refresh_progress_1. `outcome`: as of
-- lock_project_1, 'importing', 'done', 'nothing' on an image without annotations of the task, or 'missing' on one that
-- the dataset lacks, too. The rest is of the statuses that the image has in these tasks, all of them taken together.
CREATE FUNCTION set_state_of_image_1(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean, p_image_id text, p_task_type text,
    p_state text, p_effect text,
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text, OUT lock image_locks,
    OUT is_confirmed boolean, OUT confirmed_at timestamptz, OUT total_annotations integer,
    OUT confirmed_annotations integer
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_is_there boolean;
    v_before annotations;
    v_after annotations;
    v_tasks text[];
    v_action constant text := CASE WHEN p_state = 'confirmed' THEN 'confirm' ELSE 'unconfirm' END;
    v_from constant text := CASE WHEN p_state = 'confirmed' THEN 'draft' ELSE 'confirmed' END;
BEGIN
    SELECT * INTO outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
    FROM lock_project_1(p_reference, p_user_id, p_roles, p_anyway, 'role');
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    PERFORM FROM image_metadata i WHERE i.dataset_id = found_dataset_id AND i.id = p_image_id FOR NO KEY UPDATE;
    v_is_there := FOUND;
    IF NOT v_is_there THEN  -- legacy annotations may be on images that the dataset lacks
        PERFORM FROM image_annotation_status s
        WHERE s.project_id = found_project_id AND s.image_id = p_image_id ORDER BY s.task_type FOR NO KEY UPDATE;
    END IF;
    SELECT i.* INTO lock FROM import_at_work_1(found_project_id, p_image_id) i;
    IF lock.image_id IS NOT NULL THEN
        outcome := 'importing';
        RETURN;
    END IF;
    v_now := clock_timestamp();
    -- The image as a range, in its order: which index that comes from does not depend on what the plan was made for.
    v_tasks := ARRAY(
        SELECT DISTINCT a.task_type FROM (
            SELECT * FROM annotations a
            WHERE a.project_id = found_project_id AND a.image_id BETWEEN p_image_id AND p_image_id
            ORDER BY a.image_id OFFSET 0
        ) a
        WHERE p_task_type IS NULL OR a.task_type = p_task_type ORDER BY a.task_type
    );
    IF cardinality(v_tasks) = 0 THEN
        outcome := CASE WHEN v_is_there THEN 'nothing' ELSE 'missing' END;
        RETURN;
    END IF;
    FOR v_before IN
        SELECT a.* FROM (
            SELECT * FROM annotations a
            WHERE a.project_id = found_project_id AND a.image_id BETWEEN p_image_id AND p_image_id
            ORDER BY a.image_id OFFSET 0
        ) a
        WHERE a.task_type = ANY (v_tasks) AND a.annotation_state = v_from ORDER BY a.id
    LOOP
        UPDATE annotations
        SET annotation_state = p_state,
            confirmed_at = CASE WHEN p_state = 'confirmed' THEN v_now END,
            confirmed_by = CASE WHEN p_state = 'confirmed' THEN p_user_id END,
            version = version + 1, updated_at = v_now
        WHERE id = v_before.id
        RETURNING * INTO v_after;
        PERFORM log_revision_2(v_action, v_before, v_after, p_user_id, v_now);
    END LOOP;
    SELECT bool_and(r.is_image_confirmed), max(r.confirmed_at), sum(r.total_annotations)::integer,
           sum(r.confirmed_annotations)::integer
    INTO is_confirmed, confirmed_at, total_annotations, confirmed_annotations
    FROM refresh_progress_1(
        found_project_id, ARRAY(SELECT p_image_id FROM unnest(v_tasks)), v_tasks,
        ARRAY(SELECT p_effect FROM unnest(v_tasks)), ARRAY(SELECT 0 FROM unnest(v_tasks)), p_user_id
    ) r;
    outcome := 'done';
END;
$function$;
