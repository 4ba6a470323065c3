-- Annotations of an image behind an id, in the order of ids. The image as a range, in its order, which one index has:
-- without statistics the planner would rather walk the whole project to find the few of one image.
CREATE FUNCTION image_page_1(p_project_id text, p_image_id text, p_after bigint, p_limit bigint, p_skip bigint)
RETURNS SETOF annotations
LANGUAGE plpgsql
STABLE
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_incremental_sort = off
AS $function$
BEGIN
    RETURN QUERY
        SELECT i.* FROM (
            SELECT a.* FROM annotations a
            WHERE a.project_id = p_project_id AND a.image_id BETWEEN p_image_id AND p_image_id
            ORDER BY a.image_id OFFSET 0
        ) i
        WHERE i.id > p_after ORDER BY i.id LIMIT p_limit OFFSET p_skip;
END;
$function$;
