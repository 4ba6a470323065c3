-- Brings status rows, counters and the revision up to date after a write, under the locks of the images, so that
-- nothing counted here can change. The arrays name every (image, task) at most once, with what the write does to the
-- confirmation of the image (ConfirmationEffect) and by how many its annotations grew. Returns the statuses that remain,
-- in this order. Row by row: mostly it is one, and a statement over all of them costs it three times as much.
CREATE FUNCTION refresh_progress_1(
    p_project_id text, p_image_ids text[], p_task_types text[], p_effects text[], p_added integer[], p_user_id integer
) RETURNS TABLE (
    image_id text, task_type text, status text, is_image_confirmed boolean, confirmed_at timestamptz,
    total_annotations integer, confirmed_annotations integer
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_counted record;
    v_status record;
    v_confirms boolean;
    v_annotations integer := 0;
    v_images integer := 0;
BEGIN
    -- A batch looks for imports before it has waited for the locks of its images. What began meanwhile is seen here: an
    -- error, so that nothing is kept, and the next try is refused when it claims the image.
    IF EXISTS (
        SELECT FROM importing_images m
        WHERE m.project_id = p_project_id AND m.image_id = ANY (p_image_ids)
          AND NOT pg_visible_in_snapshot(m.import_id::text::xid8, pg_current_snapshot())
          AND m.started_at > v_now - interval '1 hour'
    ) THEN
        RAISE EXCEPTION 'an import began on the image' USING ERRCODE = 'LB002';
    END IF;
    -- A plan that was made for a small table finds all indexes alike, and may go through the whole project. Rows in the
    -- order of images come from one index only. So the image is given as a range: of a value the order would mean nothing.
    FOR v_index IN 1 .. cardinality(p_image_ids) LOOP
        image_id := p_image_ids[v_index];
        task_type := p_task_types[v_index];
        SELECT count(*)::int AS total,
               (count(*) FILTER (WHERE a.annotation_state = 'confirmed'))::int AS confirmed,
               (count(*) FILTER (WHERE a.annotation_state = 'draft'))::int AS drafts,
               (count(*) FILTER (WHERE a.annotation_type = 'no_object'))::int AS no_objects,
               min(a.created_at) AS first_modified_at, max(a.updated_at) AS last_modified_at
        INTO v_counted
        FROM (
            SELECT * FROM annotations a
            WHERE a.project_id = p_project_id AND a.image_id BETWEEN p_image_ids[v_index] AND p_image_ids[v_index]
            ORDER BY a.image_id OFFSET 0
        ) a WHERE a.task_type = p_task_types[v_index];
        SELECT s.id, s.is_image_confirmed, s.confirmed_at INTO v_status
        FROM image_annotation_status s
        WHERE s.project_id = p_project_id AND s.image_id = p_image_ids[v_index]
          AND s.task_type = p_task_types[v_index];
        IF v_counted.total = 0 THEN
            DELETE FROM image_annotation_status s WHERE s.id = v_status.id;
            CONTINUE;
        END IF;
        v_confirms := p_effects[v_index] = 'confirm'
            OR (p_effects[v_index] = 'confirm_if_complete' AND v_counted.drafts = 0);
        is_image_confirmed := v_confirms
            OR (p_effects[v_index] <> 'clear' AND coalesce(v_status.is_image_confirmed, false));
        status := CASE WHEN is_image_confirmed THEN 'completed' ELSE 'in-progress' END;
        confirmed_at := CASE WHEN v_confirms THEN v_now WHEN is_image_confirmed THEN v_status.confirmed_at END;
        total_annotations := v_counted.total;
        confirmed_annotations := v_counted.confirmed;
        -- What exists is updated and not upserted: an upsert would take a number of the sequence each time.
        UPDATE image_annotation_status s
        SET status = refresh_progress_1.status, is_image_confirmed = refresh_progress_1.is_image_confirmed,
            confirmed_at = refresh_progress_1.confirmed_at,
            first_modified_at = v_counted.first_modified_at, last_modified_at = v_counted.last_modified_at,
            total_annotations = v_counted.total, confirmed_annotations = v_counted.confirmed,
            draft_annotations = v_counted.drafts, no_object_annotations = v_counted.no_objects,
            counted_total = v_counted.total, counted_modified_at = v_counted.last_modified_at
        WHERE s.id = v_status.id;
        IF NOT FOUND THEN
            INSERT INTO image_annotation_status (
                project_id, image_id, task_type, status, is_image_confirmed, confirmed_at, first_modified_at,
                last_modified_at, total_annotations, confirmed_annotations, draft_annotations,
                no_object_annotations, counted_total, counted_modified_at)
            VALUES (
                p_project_id, p_image_ids[v_index], p_task_types[v_index], refresh_progress_1.status,
                refresh_progress_1.is_image_confirmed, refresh_progress_1.confirmed_at, v_counted.first_modified_at,
                v_counted.last_modified_at, v_counted.total, v_counted.confirmed, v_counted.drafts,
                v_counted.no_objects, v_counted.total, v_counted.last_modified_at);
        END IF;
        RETURN NEXT;
    END LOOP;
    IF 0 <> ANY (p_added) THEN
        WITH images AS (
            SELECT sum(c.added) AS added,
                   (
                       SELECT count(*) FROM (
                           SELECT FROM annotations a
                           WHERE a.project_id = p_project_id AND a.image_id BETWEEN c.image_id AND c.image_id
                           ORDER BY a.image_id OFFSET 0
                       ) a
                   ) AS present
            FROM unnest(p_image_ids, p_added) AS c (image_id, added) GROUP BY c.image_id
        )
        SELECT coalesce(sum(added), 0), count(*) FILTER (WHERE present > 0) - count(*) FILTER (WHERE present > added)
        INTO v_annotations, v_images FROM images;
    END IF;
    PERFORM count_in_project_1(p_project_id, v_annotations, v_images, p_user_id);
END;
$function$;
