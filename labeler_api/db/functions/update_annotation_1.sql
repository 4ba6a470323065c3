-- Changes an annotation whose version is the given one (NULL: whichever it has) with a JSON object of columns and their
-- new values, and writes the revision. `outcome`: as of create_annotation_1, or 'gone'. Raises LB001 when another
-- version is there, or nothing any more.
CREATE FUNCTION update_annotation_1(
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
    v_before annotations;
    v_claim record;
BEGIN
    SELECT a.* INTO annotation FROM annotations a WHERE a.id = p_annotation_id;
    IF NOT FOUND THEN
        outcome := 'gone';
        RETURN;
    END IF;
    SELECT * INTO outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
    FROM hold_project_1(
        annotation.project_id, p_user_id,
        CASE WHEN annotation.created_by = p_user_id THEN p_own_roles ELSE p_roles END, p_anyway
    );
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    SELECT c.* INTO v_claim
    FROM claim_image_1(found_project_id, found_dataset_id, annotation.image_id, p_user_id, p_seconds, true) c;
    outcome := v_claim.outcome;
    lock := v_claim.lock;
    IF outcome <> 'mine' THEN
        RETURN;
    END IF;
    v_now := clock_timestamp();
    SELECT a.* INTO v_before FROM annotations a WHERE a.id = p_annotation_id;
    UPDATE annotations a
    SET geometry = w.geometry, class_id = w.class_id, class_name = w.class_name, attributes = w.attributes,
        confidence = w.confidence, is_verified = w.is_verified, notes = w.notes,
        version = a.version + 1, updated_by = p_user_id, updated_at = v_now
    FROM jsonb_populate_record(v_before, p_change) w
    WHERE a.id = p_annotation_id AND (p_version IS NULL OR a.version = p_version)
    RETURNING a.* INTO annotation;
    IF NOT FOUND THEN
        -- An error, so that nothing is kept, the image's lock included. Whoever called says which of the two it is.
        RAISE EXCEPTION 'the annotation is gone or has another version' USING ERRCODE = 'LB001';
    END IF;
    PERFORM log_revision_1('update', v_before, annotation, p_user_id, v_now);
    PERFORM refresh_progress_1(
        found_project_id, ARRAY[annotation.image_id], ARRAY[annotation.task_type], ARRAY['clear'], ARRAY[0], p_user_id
    );
    outcome := 'done';
END;
$function$;
