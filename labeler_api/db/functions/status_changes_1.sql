-- The tasks of images that a write touched, for refresh_progress_1. Mostly it is one, at times ten thousand. Planned for
-- one each is looked up by its key; planned for ten, as of any list, small tables would be read through instead, also
-- when they have grown since.
CREATE FUNCTION status_changes_1(p_image_ids text[], p_task_types text[], p_effects text[], p_added integer[])
RETURNS TABLE (image_id text, task_type text, effect text, added integer)
LANGUAGE sql
ROWS 1
AS $function$
    SELECT * FROM unnest(p_image_ids, p_task_types, p_effects, p_added)
$function$;
