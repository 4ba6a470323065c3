-- Deletes an annotation whose version is the given one (NULL: whichever it has); its history keeps it. `outcome`: as of
-- update_annotation_2.
CREATE FUNCTION delete_annotation_2(
    p_annotation_id bigint, p_user_id integer, p_own_roles text[], p_roles text[], p_anyway boolean,
    p_version integer, p_seconds integer,
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
    v_claim record;
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
    v_claim := claim_image_2(found_project_id, found_dataset_id, annotation.image_id, p_user_id, p_seconds);
    outcome := v_claim.outcome;
    IF outcome <> 'mine' THEN
        lock := v_claim.lock;
        RETURN;
    END IF;
    v_now := clock_timestamp();
    DELETE FROM annotations a WHERE a.id = p_annotation_id AND (p_version IS NULL OR a.version = p_version)
    RETURNING a.* INTO annotation;
    IF NOT FOUND THEN
        -- An error, so that nothing is kept, the image's lock included. Whoever called says which of the two it is.
        RAISE EXCEPTION 'the annotation is gone or has another version' USING ERRCODE = 'LB001';
    END IF;
    v_done := log_revision_2('delete', annotation, NULL, p_user_id, v_now);
    v_done := follow_write_2(
        found_project_id, annotation.image_id, annotation.task_type, 'keep', -1,
        -(annotation.annotation_state = 'confirmed')::integer, -(annotation.annotation_state = 'draft')::integer,
        -(annotation.annotation_type = 'no_object')::integer, annotation.created_at, annotation.updated_at, p_user_id,
        v_now
    );
    outcome := 'done';
END;
$function$;
