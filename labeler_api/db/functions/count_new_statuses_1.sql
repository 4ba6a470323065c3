-- What follows from new statuses of images (TRIGGERS): they are counted, once a statement.
CREATE FUNCTION count_new_statuses_1() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $function$
DECLARE
    v_counted record;
    v_done boolean;
BEGIN
    FOR v_counted IN
        SELECT s.project_id, s.task_type, (count(*) FILTER (WHERE s.is_image_confirmed))::int AS confirmed,
               (count(*) FILTER (WHERE NOT s.is_image_confirmed))::int AS in_progress
        FROM new_statuses s GROUP BY s.project_id, s.task_type ORDER BY s.project_id, s.task_type
    LOOP
        v_done := count_status_1(
            v_counted.project_id, v_counted.task_type, v_counted.confirmed, v_counted.in_progress
        );
    END LOOP;
    RETURN NULL;
END;
$function$;
