-- Adds annotations to a project, each with its first revision, for who holds one of the roles. Those on images that the
-- user may not write to are left out. Nothing comes back by a batch: who undoes deletions creates one by one. `outcome`:
-- as of lock_project_1, or 'done'; `ids` are in the order of p_drafts, NULL for what was left out; `refused` and
-- `reasons`: as of claim_images_1.
CREATE FUNCTION create_annotations_1(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean, p_drafts jsonb, p_seconds integer,
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text, OUT ids bigint[], OUT refused image_locks[], OUT reasons text[]
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_drafts annotations[];
    v_draft record;
    v_made annotations;
    v_mine text[];
    v_images text[];
    v_tasks text[];
    v_effects text[];
    v_added integer[];
BEGIN
    SELECT * INTO outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
    FROM lock_project_1(p_reference, p_user_id, p_roles, p_anyway, 'role');
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    outcome := 'done';
    ids := '{}';
    v_drafts := ARRAY(
        SELECT jsonb_populate_record(NULL::annotations, d.draft)
        FROM jsonb_array_elements(p_drafts) WITH ORDINALITY AS d (draft, place) ORDER BY d.place
    );
    IF cardinality(v_drafts) = 0 THEN
        RETURN;
    END IF;
    SELECT c.mine, c.refused, c.reasons INTO v_mine, refused, reasons
    FROM claim_images_1(
        found_project_id, found_dataset_id, ARRAY(SELECT d.image_id FROM unnest(v_drafts) d), p_user_id, p_seconds
    ) c;
    v_now := clock_timestamp();
    FOR v_draft IN
        SELECT (d.image_id IN (SELECT unnest(v_mine))) IS TRUE AS is_mine, d.* FROM unnest(v_drafts) d
    LOOP
        IF NOT v_draft.is_mine THEN
            ids := ids || NULL::bigint;
            CONTINUE;
        END IF;
        INSERT INTO annotations (
            project_id, image_id, annotation_type, task_type, geometry, attributes, class_id, class_name, confidence,
            notes, annotation_state, created_by, created_at, updated_at, confirmed_by, confirmed_at)
        VALUES (
            found_project_id, v_draft.image_id, v_draft.annotation_type, v_draft.task_type, v_draft.geometry,
            v_draft.attributes, v_draft.class_id, v_draft.class_name, v_draft.confidence, v_draft.notes,
            v_draft.annotation_state, p_user_id, v_now, v_now,
            CASE WHEN v_draft.annotation_state = 'confirmed' THEN p_user_id END,
            CASE WHEN v_draft.annotation_state = 'confirmed' THEN v_now END)
        RETURNING * INTO v_made;
        PERFORM log_revision_2('create', NULL, v_made, p_user_id, v_now);
        ids := ids || v_made.id;
    END LOOP;
    -- A draft among the new ones of an image and task unconfirms it.
    SELECT array_agg(t.image_id), array_agg(t.task_type), array_agg(t.effect), array_agg(t.added)
    INTO v_images, v_tasks, v_effects, v_added
    FROM (
        SELECT d.image_id, d.task_type, count(*)::integer AS added,
               CASE WHEN bool_or(d.annotation_state = 'draft') THEN 'clear' ELSE 'keep' END AS effect
        FROM unnest(v_drafts) d WHERE (d.image_id IN (SELECT unnest(v_mine))) IS TRUE
        GROUP BY d.image_id, d.task_type ORDER BY d.image_id, d.task_type
    ) t;
    IF v_images IS NOT NULL THEN
        PERFORM refresh_progress_1(found_project_id, v_images, v_tasks, v_effects, v_added, p_user_id);
    END IF;
END;
$function$;
