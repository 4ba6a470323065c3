-- Confirms annotations of a project, for who holds one of the roles; confirming again counts as a change, as it does for
-- one. No write in the sense of image locks. p_image_ids are the images that they are on. `outcome`: as of lock_project_1,
-- or 'done'; `ids` are those that were confirmed, `busy` the images that an import is at work on, as its locks.
CREATE FUNCTION confirm_annotations_1(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean, p_ids bigint[], p_image_ids text[],
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text, OUT ids bigint[], OUT confirmed_at timestamptz,
    OUT busy image_locks[]
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_there text[];
    v_before annotations;
    v_after annotations;
    v_images text[];
    v_tasks text[];
BEGIN
    SELECT * INTO outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
    FROM lock_project_1(p_reference, p_user_id, p_roles, p_anyway, 'role');
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    outcome := 'done';
    -- In the order of ids, so that no two writers of several images wait for each other.
    v_there := ARRAY(
        SELECT asked.image_id
        FROM (SELECT DISTINCT unnest(p_image_ids) AS image_id ORDER BY image_id) asked
        CROSS JOIN LATERAL (
            SELECT FROM image_metadata i
            WHERE i.dataset_id = found_dataset_id AND i.id = asked.image_id LIMIT 1 FOR NO KEY UPDATE
        ) there
    );
    IF cardinality(v_there) < cardinality(p_image_ids) THEN  -- legacy annotations may be on images that it lacks
        PERFORM FROM image_annotation_status s
        WHERE s.project_id = found_project_id AND s.image_id = ANY (p_image_ids)
        ORDER BY s.image_id, s.task_type FOR NO KEY UPDATE;
    END IF;
    busy := ARRAY(
        SELECT i
        FROM (
            SELECT DISTINCT m.image_id FROM importing_images m
            WHERE m.project_id = found_project_id AND m.image_id = ANY (p_image_ids)
        ) marked
        CROSS JOIN LATERAL import_at_work_1(found_project_id, marked.image_id) i
        WHERE i.image_id IS NOT NULL
    );
    confirmed_at := clock_timestamp();
    ids := '{}';
    FOR v_before IN
        -- One by one, as images are: of a small table the planner finds all indexes alike.
        SELECT a.* FROM (SELECT DISTINCT unnest(p_ids) AS id ORDER BY id) asked
        CROSS JOIN LATERAL (SELECT * FROM annotations a WHERE a.id = asked.id LIMIT 1) a
        WHERE a.project_id = found_project_id
          AND (a.image_id NOT IN (SELECT b.image_id FROM unnest(busy) b)) IS TRUE
    LOOP
        UPDATE annotations a
        SET annotation_state = 'confirmed', confirmed_at = confirm_annotations_1.confirmed_at,
            confirmed_by = p_user_id, version = a.version + 1, updated_at = confirm_annotations_1.confirmed_at
        WHERE a.id = v_before.id
        RETURNING a.* INTO v_after;
        PERFORM log_revision_2('confirm', v_before, v_after, p_user_id, confirm_annotations_1.confirmed_at);
        ids := ids || v_before.id;
    END LOOP;
    SELECT array_agg(t.image_id), array_agg(t.task_type) INTO v_images, v_tasks
    FROM (
        SELECT DISTINCT a.image_id, a.task_type FROM unnest(ids) AS asked (id)
        CROSS JOIN LATERAL (SELECT * FROM annotations a WHERE a.id = asked.id LIMIT 1) a
        ORDER BY a.image_id, a.task_type
    ) t;
    IF v_images IS NOT NULL THEN
        PERFORM refresh_progress_1(
            found_project_id, v_images, v_tasks,
            array_fill('confirm_if_complete'::text, ARRAY[cardinality(v_images)]),
            array_fill(0, ARRAY[cardinality(v_images)]), p_user_id
        );
    END IF;
END;
$function$;
