-- Appends a class to a task, for who holds one of the roles. `outcome`: as of lock_project_1, 'no_task', 'exists', or as
-- of write_classes_1; `class` is the class with its place.
CREATE FUNCTION add_class_1(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean, p_task_type text,
    p_class_id text, p_class jsonb, p_most integer,
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text, OUT class jsonb
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
DECLARE
    v_classes jsonb;
BEGIN
    SELECT * INTO outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
    FROM lock_project_1(p_reference, p_user_id, p_roles, p_anyway, 'turn');
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    v_classes := classes_of_1(found_project_id, p_task_type);
    IF v_classes IS NULL THEN
        outcome := 'no_task';
        RETURN;
    END IF;
    IF v_classes ? p_class_id THEN
        outcome := 'exists';
        RETURN;
    END IF;
    class := p_class || jsonb_build_object(
        'order', COALESCE((SELECT max((c.value ->> 'order')::bigint) FROM jsonb_each(v_classes) c), -1) + 1
    );
    outcome := write_classes_1(
        found_project_id, p_task_type, v_classes || jsonb_build_object(p_class_id, class), p_most, p_user_id
    );
END;
$function$;
