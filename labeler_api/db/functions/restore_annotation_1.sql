-- Brings a revision of an annotation back, also of one that was deleted, where its version is the given one (NULL:
-- whichever it has). p_whole names what a revision needs to be a whole annotation, and one of more bytes than p_most is
-- not brought back. `outcome`: as of update_annotation_1, 'no_state' where there is no such whole revision, 'too_large'.
CREATE FUNCTION restore_annotation_1(
    p_annotation_id bigint, p_user_id integer, p_own_roles text[], p_roles text[], p_anyway boolean,
    p_version integer, p_revision integer, p_whole text[], p_most integer, p_seconds integer,
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
    v_before annotations;
    v_state jsonb;
    v_wanted annotations;
    v_version integer;
BEGIN
    SELECT a.* INTO annotation FROM annotations a WHERE a.id = p_annotation_id;
    IF NOT FOUND THEN  -- its history says where it was
        SELECT h.project_id, (h.previous_state ->> 'created_by')::integer
        INTO annotation.project_id, annotation.created_by
        FROM annotation_history h WHERE h.annotation_id = p_annotation_id ORDER BY h.id DESC LIMIT 1;
        IF NOT FOUND THEN
            outcome := 'gone';
            RETURN;
        END IF;
    END IF;
    SELECT * INTO outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
    FROM lock_project_1(
        annotation.project_id, p_user_id,
        CASE WHEN annotation.created_by = p_user_id THEN p_own_roles ELSE p_roles END, p_anyway, 'role'
    );
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    -- A revision stands in the write that made it, and once more in the one that followed: the latter helps where the
    -- former was made before whole revisions were kept.
    SELECT s.state INTO v_state FROM (
        SELECT h.new_state AS state, 0 AS place FROM annotation_history h
        WHERE h.annotation_id = p_annotation_id AND h.project_id = found_project_id AND h.revision = p_revision
        UNION ALL
        SELECT h.previous_state, 1 FROM annotation_history h
        WHERE h.annotation_id = p_annotation_id AND h.project_id = found_project_id
          AND h.revision = p_revision::bigint + 1
    ) s WHERE jsonb_typeof(s.state) = 'object' ORDER BY s.place LIMIT 1;
    IF NOT COALESCE(v_state ?& p_whole, false) THEN
        outcome := 'no_state';
        RETURN;
    END IF;
    IF octet_length(v_state::text) > p_most THEN
        outcome := 'too_large';
        RETURN;
    END IF;
    v_wanted := jsonb_populate_record(NULL::annotations, v_state);
    annotation.image_id := v_wanted.image_id;
    SELECT c.* INTO v_claim
    FROM claim_image_1(found_project_id, found_dataset_id, v_wanted.image_id, p_user_id, p_seconds, true) c;
    outcome := v_claim.outcome;
    lock := v_claim.lock;
    IF outcome <> 'mine' THEN
        RETURN;
    END IF;
    v_now := clock_timestamp();
    SELECT a.* INTO v_before FROM annotations a WHERE a.id = p_annotation_id;
    -- One that was deleted goes on counting where its deletion stopped.
    v_version := COALESCE(
        v_before.version, (SELECT max(h.revision) FROM annotation_history h WHERE h.annotation_id = p_annotation_id)
    );
    IF p_version IS NOT NULL AND v_version IS DISTINCT FROM p_version THEN
        -- An error, so that nothing is kept, the image's lock included. Whoever called says which version there is.
        RAISE EXCEPTION 'the annotation has another version' USING ERRCODE = 'LB001';
    END IF;
    IF v_before.id IS NULL THEN
        INSERT INTO annotations (
            id, project_id, image_id, annotation_type, task_type, geometry, attributes, class_id, class_name,
            confidence, notes, is_verified, annotation_state, confirmed_at, confirmed_by, created_by, created_at,
            version, updated_by, updated_at)
        VALUES (
            p_annotation_id, v_wanted.project_id, v_wanted.image_id, v_wanted.annotation_type, v_wanted.task_type,
            v_wanted.geometry, v_wanted.attributes, v_wanted.class_id, v_wanted.class_name, v_wanted.confidence,
            v_wanted.notes, v_wanted.is_verified, v_wanted.annotation_state, v_wanted.confirmed_at,
            v_wanted.confirmed_by, v_wanted.created_by, v_wanted.created_at, v_version + 1, p_user_id, v_now)
        RETURNING * INTO annotation;
    ELSE
        UPDATE annotations
        SET geometry = v_wanted.geometry, class_id = v_wanted.class_id, class_name = v_wanted.class_name,
            attributes = v_wanted.attributes, confidence = v_wanted.confidence, is_verified = v_wanted.is_verified,
            notes = v_wanted.notes, annotation_state = v_wanted.annotation_state,
            confirmed_at = v_wanted.confirmed_at, confirmed_by = v_wanted.confirmed_by,
            version = v_version + 1, updated_by = p_user_id, updated_at = v_now
        WHERE id = p_annotation_id
        RETURNING * INTO annotation;
    END IF;
    PERFORM log_revision_2('restore', v_before, annotation, p_user_id, v_now);
    PERFORM refresh_progress_1(
        found_project_id, ARRAY[annotation.image_id], ARRAY[annotation.task_type], ARRAY['clear'],
        ARRAY[CASE WHEN v_before.id IS NULL THEN 1 ELSE 0 END], p_user_id
    );
    outcome := 'done';
END;
$function$;
