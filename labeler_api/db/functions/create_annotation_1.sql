-- Adds an annotation with its first revision, for who holds one of the roles and whose image it is or becomes.
-- Who has one of the reviewers' roles brings back what somebody else had made, too. `outcome`: as of hold_project_1 and
-- claim_image_1, or 'done'.
CREATE FUNCTION create_annotation_1(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean, p_reviewers text[], p_draft jsonb,
    p_seconds integer,
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
    v_draft annotations;
    v_undone record;
    v_made annotations;
    -- From the shape; the frontend sends it or not.
    v_derived constant text[] := ARRAY['type', 'image_width', 'image_height', 'area'];
BEGIN
    SELECT * INTO outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
    FROM hold_project_1(p_reference, p_user_id, p_roles, p_anyway);
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    SELECT c.* INTO v_claim
    FROM claim_image_1(found_project_id, found_dataset_id, p_draft ->> 'image_id', p_user_id, p_seconds, true) c;
    outcome := v_claim.outcome;
    lock := v_claim.lock;
    IF outcome <> 'mine' THEN
        RETURN;
    END IF;
    v_now := clock_timestamp();
    v_draft := jsonb_populate_record(NULL::annotations, p_draft);
    -- A deletion by the same person in the last quarter of an hour, not followed by anything, of what equals the new
    -- one: the frontend undoes a deletion by creating the same again, and then edits the old id. What was not sent does
    -- not count; a class is always sent. Of a no_object only its task counts. Somebody may delete ten thousand equal
    -- ones, and each may have a megabyte, so the latest 50 are looked at.
    SELECT h.annotation_id, h.revision, h.previous_state INTO v_undone
    FROM (
        SELECT * FROM annotation_history
        WHERE undo_key = undo_key_1(
            found_project_id, p_user_id, v_draft.annotation_type, v_draft.image_id, v_draft.geometry
        )
        ORDER BY id DESC LIMIT 50
    ) h
    CROSS JOIN LATERAL jsonb_populate_record(NULL::annotations, h.previous_state) p
    WHERE h.project_id = found_project_id AND h.changed_by = p_user_id
      AND (p.created_by = p_user_id OR p_anyway OR found_role = ANY (p_reviewers))
      AND h.timestamp > v_now - interval '15 minutes'
      AND p.image_id = v_draft.image_id AND p.annotation_type = v_draft.annotation_type
      AND p.task_type = v_draft.task_type
      AND (v_draft.confidence IS NULL OR p.confidence = v_draft.confidence)
      AND (v_draft.notes IS NULL OR p.notes = v_draft.notes)
      AND CASE WHEN v_draft.annotation_type = 'no_object' THEN p.attributes @> v_draft.attributes ELSE
          p.geometry - v_derived = v_draft.geometry - v_derived
          AND p.class_id IS NOT DISTINCT FROM v_draft.class_id
          AND (v_draft.class_name IS NULL OR p.class_name = v_draft.class_name)
          AND (v_draft.attributes = '{}' OR p.attributes = v_draft.attributes) END
      AND NOT EXISTS (SELECT FROM annotations a WHERE a.id = h.annotation_id)
      AND NOT EXISTS (SELECT FROM annotation_history l WHERE l.annotation_id = h.annotation_id AND l.id > h.id)
    ORDER BY h.id DESC LIMIT 1;
    -- What comes back has its id and all that it was but its confirmation: the screen shows it as a draft. Where
    -- nothing comes back, `jsonb_populate_record` returns the new one as it is.
    v_made := jsonb_populate_record(v_draft, v_undone.previous_state);
    INSERT INTO annotations (
        id, project_id, image_id, annotation_type, task_type, geometry, attributes, class_id, class_name,
        confidence, notes, is_verified, annotation_state, created_by, created_at, updated_by, updated_at,
        confirmed_by, confirmed_at, version)
    VALUES (
        coalesce(v_undone.annotation_id, nextval('annotations_id_seq')), found_project_id, v_made.image_id,
        v_made.annotation_type, v_made.task_type, v_made.geometry, v_made.attributes, v_made.class_id,
        v_made.class_name, v_made.confidence, v_made.notes, coalesce(v_made.is_verified, false),
        v_draft.annotation_state, coalesce(v_made.created_by, p_user_id), coalesce(v_made.created_at, v_now),
        CASE WHEN v_undone.annotation_id IS NOT NULL THEN p_user_id END, v_now,
        CASE WHEN v_draft.annotation_state = 'confirmed' THEN p_user_id END,
        CASE WHEN v_draft.annotation_state = 'confirmed' THEN v_now END,
        coalesce(v_undone.revision, 0) + 1)
    RETURNING * INTO annotation;
    PERFORM log_revision_1(
        CASE WHEN annotation.version = 1 THEN 'create' ELSE 'restore' END, NULL, annotation, p_user_id, v_now
    );
    PERFORM refresh_progress_1(
        found_project_id, ARRAY[annotation.image_id], ARRAY[annotation.task_type],
        ARRAY[CASE WHEN annotation.annotation_state = 'draft' THEN 'clear' ELSE 'keep' END], ARRAY[1], p_user_id
    );
    outcome := 'done';
END;
$function$;
