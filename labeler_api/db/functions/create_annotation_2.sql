-- Adds an annotation with its first revision, for who holds one of the roles and whose image it is or becomes.
-- Who has one of the reviewers' roles brings back what somebody else had made, too. `outcome`: as of hold_project_1 and
-- claim_image_1, or 'done'.
CREATE FUNCTION create_annotation_2(
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
    v_held record;
    v_claim record;
    v_draft annotations;
    v_key bigint;
    v_undone record;
    v_revision integer := 0;
    v_done boolean;
BEGIN
    v_held := hold_project_2(p_reference, p_user_id, p_roles, p_anyway);
    outcome := v_held.outcome;
    found_project_id := v_held.found_project_id;
    found_dataset_id := v_held.found_dataset_id;
    found_visibility := v_held.found_visibility;
    found_owner_id := v_held.found_owner_id;
    found_role := v_held.found_role;
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    v_draft := jsonb_populate_record(NULL::annotations, p_draft);
    v_claim := claim_image_2(found_project_id, found_dataset_id, v_draft.image_id, p_user_id, p_seconds);
    outcome := v_claim.outcome;
    IF outcome <> 'mine' THEN
        lock := v_claim.lock;
        RETURN;
    END IF;
    v_now := clock_timestamp();
    v_draft.is_verified := false;
    v_draft.created_by := p_user_id;
    v_draft.created_at := v_now;
    v_key := undo_key_1(
        found_project_id, p_user_id, v_draft.annotation_type, v_draft.image_id, v_draft.geometry
    );
    IF EXISTS (SELECT FROM annotation_history h WHERE h.undo_key = v_key) THEN
        v_undone := undone_deletion_2(
            found_project_id, p_user_id, p_anyway OR found_role = ANY (p_reviewers), v_draft, v_key, v_now
        );
        IF v_undone.annotation_id IS NOT NULL THEN
            -- What comes back has its id and all that it was but its confirmation: the screen shows it as a draft.
            v_revision := v_undone.revision;
            v_undone.previous_state := v_undone.previous_state - 'annotation_state';
            v_draft := jsonb_populate_record(v_draft, v_undone.previous_state);
            v_draft.updated_by := p_user_id;
        END IF;
    END IF;
    INSERT INTO annotations (
        id, project_id, image_id, annotation_type, task_type, geometry, attributes, class_id, class_name,
        confidence, notes, is_verified, annotation_state, created_by, created_at, updated_by, updated_at,
        confirmed_by, confirmed_at, version)
    VALUES (
        coalesce(v_draft.id, nextval('annotations_id_seq')), found_project_id, v_draft.image_id,
        v_draft.annotation_type, v_draft.task_type, v_draft.geometry, v_draft.attributes, v_draft.class_id,
        v_draft.class_name, v_draft.confidence, v_draft.notes, v_draft.is_verified,
        v_draft.annotation_state, v_draft.created_by, v_draft.created_at, v_draft.updated_by, v_now,
        CASE WHEN v_draft.annotation_state = 'confirmed' THEN p_user_id END,
        CASE WHEN v_draft.annotation_state = 'confirmed' THEN v_now END,
        v_revision + 1)
    RETURNING * INTO annotation;
    v_done := log_revision_2(
        CASE WHEN annotation.version = 1 THEN 'create' ELSE 'restore' END, NULL, annotation, p_user_id, v_now
    );
    v_done := follow_write_2(
        found_project_id, annotation.image_id, annotation.task_type,
        CASE WHEN annotation.annotation_state = 'draft' THEN 'clear' ELSE 'keep' END,
        1, (annotation.annotation_state = 'confirmed')::integer, (annotation.annotation_state = 'draft')::integer,
        (annotation.annotation_type = 'no_object')::integer, annotation.created_at, NULL, p_user_id, v_now
    );
    outcome := 'done';
END;
$function$;
