-- As log_revision_1, for a function that has set search_path and its plans. Returns true, so that it can be called by an
-- assignment: PERFORM costs a statement more.
CREATE FUNCTION log_revision_2(
    p_action text, p_before annotations, p_after annotations, p_user_id integer, p_at timestamptz
) RETURNS boolean
LANGUAGE plpgsql
AS $function$
BEGIN
    IF p_after.id IS NULL THEN
        INSERT INTO annotation_history
            (annotation_id, project_id, image_id, action, previous_state, changed_by, timestamp, revision, undo_key)
        VALUES (
            p_before.id, p_before.project_id, p_before.image_id, p_action, to_jsonb(p_before), p_user_id, p_at,
            p_before.version + 1,
            undo_key_1(p_before.project_id, p_user_id, p_before.annotation_type, p_before.image_id, p_before.geometry)
        );
    ELSE
        INSERT INTO annotation_history
            (annotation_id, project_id, image_id, action, previous_state, new_state, changed_by, timestamp, revision)
        VALUES (
            p_after.id, p_after.project_id, p_after.image_id, p_action,
            CASE WHEN p_before.id IS NOT NULL THEN to_jsonb(p_before) END, to_jsonb(p_after), p_user_id, p_at,
            p_after.version
        );
    END IF;
    RETURN true;
END;
$function$;
