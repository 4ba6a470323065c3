-- Brings the image's status, the counters and the revision up to date after a write of one annotation, under the lock of
-- its image. Given are by how many the annotations grew, and of them the confirmed ones, the drafts and the no_objects;
-- when the annotation was made and last changed before a deletion; and when this write was (p_at).
-- A status that is a count of all there is changes by as much, where both before and after something is drawn. Else, and
-- where a deletion may have taken the earliest or the latest of the times, refresh_progress_1 counts anew, which reads
-- every annotation of the image. For a function that has set search_path and its plans.
CREATE FUNCTION follow_write_2(
    p_project_id text, p_image_id text, p_task_type text, p_effect text, p_added integer, p_confirmed integer,
    p_drafts integer, p_no_objects integer, p_created_at timestamptz, p_updated_at timestamptz, p_user_id integer,
    p_at timestamptz
) RETURNS boolean
LANGUAGE plpgsql
AS $function$
BEGIN
    UPDATE image_annotation_status s
    SET total_annotations = s.total_annotations + p_added, counted_total = s.total_annotations + p_added,
        confirmed_annotations = s.confirmed_annotations + p_confirmed,
        draft_annotations = s.draft_annotations + p_drafts,
        no_object_annotations = s.no_object_annotations + p_no_objects,
        first_modified_at = CASE WHEN p_added > 0 THEN least(s.first_modified_at, p_created_at)
                                 ELSE s.first_modified_at END,
        last_modified_at = CASE WHEN p_added < 0 THEN s.last_modified_at ELSE p_at END,
        counted_modified_at = CASE WHEN p_added < 0 THEN s.last_modified_at ELSE p_at END,
        is_image_confirmed = CASE WHEN p_effect = 'confirm_if_complete' AND s.draft_annotations + p_drafts = 0 THEN true
                                  ELSE p_effect <> 'clear' AND s.is_image_confirmed END,
        status = CASE WHEN p_effect = 'confirm_if_complete' AND s.draft_annotations + p_drafts = 0 THEN 'completed'
                      WHEN p_effect <> 'clear' AND s.is_image_confirmed THEN 'completed' ELSE 'in-progress' END,
        confirmed_at = CASE WHEN p_effect = 'confirm_if_complete' AND s.draft_annotations + p_drafts = 0 THEN p_at
                            WHEN p_effect <> 'clear' AND s.is_image_confirmed THEN s.confirmed_at END
    WHERE s.project_id = p_project_id AND s.image_id = p_image_id AND s.task_type = p_task_type
      AND s.counted_total = s.total_annotations AND s.counted_modified_at = s.last_modified_at
      AND s.total_annotations > 0 AND s.total_annotations + p_added > 0 AND s.last_modified_at <= p_at
      AND (p_added >= 0 OR p_created_at > s.first_modified_at AND p_updated_at < s.last_modified_at);
    IF FOUND THEN
        RETURN count_in_project_2(p_project_id, p_added, 0, p_user_id);
    END IF;
    PERFORM refresh_progress_1(
        p_project_id, ARRAY[p_image_id], ARRAY[p_task_type], ARRAY[p_effect], ARRAY[p_added], p_user_id
    );
    RETURN true;
END;
$function$;
