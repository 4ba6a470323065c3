-- What follows where an image is confirmed, or no longer (TRIGGERS).
CREATE FUNCTION count_confirmed_status_1() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $function$
DECLARE
    v_confirmed integer := CASE WHEN NEW.is_image_confirmed THEN 1 ELSE -1 END;
    v_done boolean;
BEGIN
    v_done := count_status_1(NEW.project_id, NEW.task_type, v_confirmed, -v_confirmed);
    RETURN NULL;
END;
$function$;
