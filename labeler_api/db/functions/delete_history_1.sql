-- What a project's deletion does to the history of its annotations: a trigger (TRIGGERS), in place of a reference that
-- would cascade. Whoever writes history holds the project or has written an annotation that refers to it, so the look
-- at the project for each row found nothing out; it was an eighth of what PostgreSQL spends on an import.
CREATE FUNCTION delete_history_1() RETURNS trigger
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
BEGIN
    DELETE FROM annotation_history h WHERE h.project_id = OLD.id;
    RETURN NULL;
END;
$function$;
