-- Writes the revision of one write of an annotation into its history: `before` is NULL for a new one, `after` for one that
-- was deleted. A deletion gets the key by which an undo finds it.
CREATE FUNCTION log_revision_1(
    p_action text, p_before annotations, p_after annotations, p_user_id integer, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
AS $function$
DECLARE
    v_shown annotations := CASE WHEN p_after.id IS NULL THEN p_before ELSE p_after END;
BEGIN
    INSERT INTO annotation_history
        (annotation_id, project_id, image_id, action, previous_state, new_state, changed_by, timestamp, revision,
         undo_key)
    VALUES (
        v_shown.id, v_shown.project_id, v_shown.image_id, p_action,
        CASE WHEN p_before.id IS NOT NULL THEN to_jsonb(p_before) END,
        CASE WHEN p_after.id IS NOT NULL THEN to_jsonb(p_after) END,
        p_user_id, p_at, CASE WHEN p_after.id IS NULL THEN p_before.version + 1 ELSE p_after.version END,
        CASE WHEN p_after.id IS NULL THEN
            undo_key_1(p_before.project_id, p_user_id, p_before.annotation_type, p_before.image_id, p_before.geometry)
        END
    );
END;
$function$;
