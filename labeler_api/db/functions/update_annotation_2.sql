-- Changes an annotation whose version is the given one (NULL: whichever it has) with a JSON object of columns and their
-- new values, and writes the revision. `outcome`: as of create_annotation_2, or 'gone'. Raises LB001 when another
-- version is there, or nothing any more.
CREATE FUNCTION update_annotation_2(
    p_annotation_id bigint, p_user_id integer, p_own_roles text[], p_roles text[], p_anyway boolean,
    p_version integer, p_change jsonb, p_seconds integer,
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
    v_before annotations;
    v_wanted annotations;
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
    -- As it is now that nobody else writes to it.
    SELECT a.* INTO v_before FROM annotations a WHERE a.id = p_annotation_id;
    v_wanted := jsonb_populate_record(v_before, p_change);
    UPDATE annotations a
    SET geometry = v_wanted.geometry, class_id = v_wanted.class_id, class_name = v_wanted.class_name,
        attributes = v_wanted.attributes, confidence = v_wanted.confidence, is_verified = v_wanted.is_verified,
        notes = v_wanted.notes, version = a.version + 1, updated_by = p_user_id, updated_at = v_now
    WHERE a.id = p_annotation_id AND (p_version IS NULL OR a.version = p_version)
    RETURNING a.* INTO annotation;
    IF NOT FOUND THEN
        -- An error, so that nothing is kept, the image's lock included. Whoever called says which of the two it is.
        RAISE EXCEPTION 'the annotation is gone or has another version' USING ERRCODE = 'LB001';
    END IF;
    v_done := log_revision_2('update', v_before, annotation, p_user_id, v_now);
    v_done := follow_write_2(
        found_project_id, annotation.image_id, annotation.task_type, 'clear', 0, 0, 0, 0, NULL, NULL, p_user_id, v_now
    );
    outcome := 'done';
END;
$function$;
