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
    WITH old AS MATERIALIZED (SELECT * FROM annotations WHERE id = p_annotation_id),
    wanted AS (
        SELECT n.* FROM annotations a CROSS JOIN LATERAL jsonb_populate_record(a, p_change) n
        WHERE a.id = p_annotation_id
    ),
    new AS (
        UPDATE annotations a
        SET geometry = w.geometry, class_id = w.class_id, class_name = w.class_name, attributes = w.attributes,
            confidence = w.confidence, is_verified = w.is_verified, notes = w.notes,
            version = a.version + 1, updated_by = p_user_id, updated_at = v_now
        FROM wanted w
        WHERE a.id = p_annotation_id AND (p_version IS NULL OR a.version = p_version)
        RETURNING a.*
    ),
    logged AS (
        INSERT INTO annotation_history
            (annotation_id, project_id, image_id, action, previous_state, new_state, changed_by, timestamp, revision)
        SELECT n.id, n.project_id, n.image_id, 'update', to_jsonb(o), to_jsonb(n), p_user_id, v_now, n.version
        FROM new n JOIN old o USING (id)
    )
    SELECT new.* INTO annotation FROM new;
    IF NOT FOUND THEN
        -- An error, so that nothing is kept, the image's lock included. Whoever called says which of the two it is.
        RAISE EXCEPTION 'the annotation is gone or has another version' USING ERRCODE = 'LB001';
    END IF;
    PERFORM refresh_progress_1(
        found_project_id, ARRAY[annotation.image_id], ARRAY[annotation.task_type], ARRAY['clear'], ARRAY[0], p_user_id
    );
    outcome := 'done';
END;
$function$;
