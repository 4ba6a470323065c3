-- The classes of a task, by their ids; NULL where the project has no such task. Of a project that is locked.
CREATE FUNCTION classes_of_1(p_project_id text, p_task_type text) RETURNS jsonb
LANGUAGE plpgsql
AS $function$
BEGIN
    RETURN (
        SELECT COALESCE(p.task_classes -> p_task_type, '{}') FROM annotation_projects p
        WHERE p.id = p_project_id AND p_task_type = ANY (p.task_types)
    );
END;
$function$;
