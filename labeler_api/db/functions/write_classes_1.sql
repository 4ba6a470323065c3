-- Replaces the classes of a task in a project that is locked. Returns 'done', or 'too_large' and writes nothing when they
-- take more bytes than p_most as JSON without spaces (NULL: as many as they are).
CREATE FUNCTION write_classes_1(p_project_id text, p_task_type text, p_classes jsonb, p_most integer, p_user_id integer)
RETURNS text
LANGUAGE plpgsql
AS $function$
DECLARE
    v_bytes integer := octet_length(p_classes::text);
BEGIN
    IF v_bytes > p_most THEN
        -- PostgreSQL writes a space behind each colon and each comma.
        SELECT v_bytes + 1 - sum(2 * (SELECT count(*) FROM jsonb_object_keys(c.value)) + 1) INTO v_bytes
        FROM jsonb_each(p_classes) c;
        IF v_bytes > p_most THEN
            RETURN 'too_large';
        END IF;
    END IF;
    UPDATE annotation_projects
    SET task_classes = jsonb_set(task_classes, ARRAY[p_task_type], p_classes),
        revision = revision + 1, last_updated_by = p_user_id, updated_at = clock_timestamp()
    WHERE id = p_project_id;
    RETURN 'done';
END;
$function$;
