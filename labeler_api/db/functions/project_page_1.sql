-- Annotations of a project behind an id, in the order of ids; `is_fresh`: all, or those that were written by p_horizon or
-- a later transaction. PostgreSQL marks every version of a row with the transaction that wrote it.
-- Compared as rows, so that only the index (project_id, id) has this order, and without a sort and without bitmaps, so that
-- no other index will do: without statistics the planner would rather read the whole project, and sort it.
CREATE FUNCTION project_page_1(p_project_id text, p_after bigint, p_limit bigint, p_skip bigint, p_horizon xid)
RETURNS TABLE (
    id bigint, image_id varchar, annotation_type varchar, task_type varchar, class_id varchar, class_name varchar,
    confidence integer, created_by integer, updated_by integer, is_verified boolean, version integer,
    annotation_state varchar, confirmed_at timestamptz, confirmed_by integer, created_at timestamptz,
    updated_at timestamptz, geometry jsonb, attributes jsonb, notes text, is_fresh boolean
)
LANGUAGE plpgsql
STABLE
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_incremental_sort = off
AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT a.id, a.image_id, a.annotation_type, a.task_type, a.class_id, a.class_name, a.confidence, a.created_by,
               a.updated_by, a.is_verified, a.version, a.annotation_state, a.confirmed_at, a.confirmed_by,
               a.created_at, a.updated_at, a.geometry, a.attributes, a.notes,
               p_horizon IS NULL OR age(a.xmin) <= age(p_horizon)
        FROM annotations a
        WHERE (a.project_id, a.id) > (p_project_id, p_after) AND (a.project_id, a.id) <= (p_project_id, 9223372036854775807)
        ORDER BY a.project_id, a.id LIMIT p_limit OFFSET p_skip;
END;
$function$;
