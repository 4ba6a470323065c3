-- Removes a class that no annotation of the task has, for who holds one of the roles. Alone: nobody draws something with
-- the class between the look and the commit. `outcome`: as of change_classes_1, or 'in_use'.
CREATE FUNCTION delete_class_1(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean, p_task_type text, p_class_id text,
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text
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
    FROM lock_project_1(p_reference, p_user_id, p_roles, p_anyway, 'alone');
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    v_classes := classes_of_1(found_project_id, p_task_type);
    IF v_classes IS NULL THEN
        outcome := 'no_task';
        RETURN;
    END IF;
    IF NOT v_classes ? p_class_id THEN
        outcome := 'no_class';
        RETURN;
    END IF;
    -- In the order of the index that has the class: of a small table the planner finds all indexes alike.
    PERFORM FROM annotations a
    WHERE a.project_id = found_project_id AND a.task_type = p_task_type
      AND a.class_id BETWEEN p_class_id AND p_class_id
    ORDER BY a.project_id, a.task_type, a.class_id LIMIT 1;
    IF FOUND THEN
        outcome := 'in_use';
        RETURN;
    END IF;
    outcome := write_classes_1(found_project_id, p_task_type, v_classes - p_class_id, NULL, p_user_id);
END;
$function$;
