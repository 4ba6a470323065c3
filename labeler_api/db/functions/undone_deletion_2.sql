-- Finds the deletion that a new annotation undoes: one by the same person in the last quarter of an hour, not followed by
-- anything, of what equals the new one. The frontend undoes a deletion by creating the same again, and then edits the old
-- id. What was not sent does not count; a class is always sent. Of a no_object only its task counts. Somebody may delete
-- ten thousand equal ones, and each may have a megabyte, so the latest 50 are looked at. p_of_others: what somebody else
-- had made comes back, too. For a function that has set search_path and its plans.
CREATE FUNCTION undone_deletion_2(
    p_project_id text, p_user_id integer, p_of_others boolean, p_draft annotations, p_key bigint, p_at timestamptz,
    OUT annotation_id bigint, OUT revision integer, OUT previous_state jsonb
)
LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
DECLARE
    -- From the shape; the frontend sends it or not.
    v_derived constant text[] := ARRAY['type', 'image_width', 'image_height', 'area'];
BEGIN
    SELECT h.annotation_id, h.revision, h.previous_state INTO annotation_id, revision, previous_state
    FROM (SELECT * FROM annotation_history WHERE undo_key = p_key ORDER BY id DESC LIMIT 50) h
    CROSS JOIN LATERAL jsonb_populate_record(NULL::annotations, h.previous_state) p
    WHERE h.project_id = p_project_id AND h.changed_by = p_user_id
      AND (p.created_by = p_user_id OR p_of_others)
      AND h.timestamp > p_at - interval '15 minutes'
      AND p.image_id = p_draft.image_id AND p.annotation_type = p_draft.annotation_type
      AND p.task_type = p_draft.task_type
      AND (p_draft.confidence IS NULL OR p.confidence = p_draft.confidence)
      AND (p_draft.notes IS NULL OR p.notes = p_draft.notes)
      AND CASE WHEN p_draft.annotation_type = 'no_object' THEN p.attributes @> p_draft.attributes ELSE
          p.geometry - v_derived = p_draft.geometry - v_derived
          AND p.class_id IS NOT DISTINCT FROM p_draft.class_id
          AND (p_draft.class_name IS NULL OR p.class_name = p_draft.class_name)
          AND (p_draft.attributes = '{}' OR p.attributes = p_draft.attributes) END
      AND NOT EXISTS (SELECT FROM annotations a WHERE a.id = h.annotation_id)
      AND NOT EXISTS (SELECT FROM annotation_history l WHERE l.annotation_id = h.annotation_id AND l.id > h.id)
    ORDER BY h.id DESC LIMIT 1;
END;
$function$;
