-- Confirms an annotation ('confirmed') or makes it a draft again ('draft'); repeating it counts as a change. No write
-- in the sense of image locks. p_effect: as of refresh_progress_1. `outcome`: as of hold_project_1, 'gone', 'importing', or 'done'.
CREATE FUNCTION set_annotation_state_2(
    p_annotation_id bigint, p_user_id integer, p_own_roles text[], p_roles text[], p_anyway boolean,
    p_state text, p_effect text,
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text, OUT lock image_locks, OUT annotation annotations
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_held record;
    v_before annotations;
    v_done boolean;
BEGIN
    SELECT a.* INTO annotation FROM annotations a WHERE a.id = p_annotation_id;
    IF NOT FOUND THEN
        outcome := 'gone';
        RETURN;
    END IF;
    v_held := hold_project_2(
        annotation.project_id, p_user_id,
        CASE WHEN annotation.created_by = p_user_id THEN p_own_roles ELSE p_roles END, p_anyway
    );
    outcome := v_held.outcome;
    found_project_id := v_held.found_project_id;
    found_dataset_id := v_held.found_dataset_id;
    found_visibility := v_held.found_visibility;
    found_owner_id := v_held.found_owner_id;
    found_role := v_held.found_role;
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    PERFORM FROM image_metadata i
    WHERE i.dataset_id = found_dataset_id AND i.id = annotation.image_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN  -- legacy annotations may be on images that the dataset lacks
        PERFORM FROM image_annotation_status s
        WHERE s.project_id = found_project_id AND s.image_id = annotation.image_id
        ORDER BY s.task_type FOR NO KEY UPDATE;
    END IF;
    lock := import_at_work_1(found_project_id, annotation.image_id);
    IF lock.image_id IS NOT NULL THEN
        outcome := 'importing';
        RETURN;
    END IF;
    v_now := clock_timestamp();
    SELECT a.* INTO v_before FROM annotations a WHERE a.id = p_annotation_id;
    UPDATE annotations
    SET annotation_state = p_state,
        confirmed_at = CASE WHEN p_state = 'confirmed' THEN v_now END,
        confirmed_by = CASE WHEN p_state = 'confirmed' THEN p_user_id END,
        version = version + 1, updated_at = v_now
    WHERE id = p_annotation_id
    RETURNING * INTO annotation;
    IF NOT FOUND THEN
        outcome := 'gone';
        RETURN;
    END IF;
    v_done := log_revision_2(
        CASE WHEN p_state = 'confirmed' THEN 'confirm' ELSE 'unconfirm' END, v_before, annotation, p_user_id, v_now
    );
    v_done := follow_write_2(
        found_project_id, annotation.image_id, annotation.task_type, p_effect, 0,
        (p_state = 'confirmed')::integer - (v_before.annotation_state = 'confirmed')::integer,
        (p_state = 'draft')::integer - (v_before.annotation_state = 'draft')::integer, 0, NULL, NULL, p_user_id, v_now
    );
    outcome := 'done';
END;
$function$;
