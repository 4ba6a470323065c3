-- Changes classes of a task, for who holds one of the roles: p_changes has an object for each of p_class_ids, with the
-- new values of some of its members. NULL changes nothing. `outcome`: as of add_class_1, or 'no_class', which `missing`
-- names. `classes` are the classes named, and `counts` of each [its annotations, the images with them].
CREATE FUNCTION change_classes_1(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean, p_task_type text,
    p_class_ids text[], p_changes jsonb, p_most integer,
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text, OUT missing text, OUT classes jsonb, OUT counts jsonb
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
    SELECT asked.id INTO missing FROM unnest(p_class_ids) WITH ORDINALITY AS asked (id, place)
    WHERE NOT v_classes ? asked.id ORDER BY asked.place LIMIT 1;
    IF missing IS NOT NULL THEN
        outcome := 'no_class';
        RETURN;
    END IF;
    outcome := 'done';
    IF p_changes IS NOT NULL THEN
        SELECT v_classes || COALESCE(jsonb_object_agg(asked.id, (v_classes -> asked.id) || asked.change), '{}')
        INTO v_classes
        FROM ROWS FROM (unnest(p_class_ids), jsonb_array_elements(p_changes)) AS asked (id, change);
        outcome := write_classes_1(found_project_id, p_task_type, v_classes, p_most, p_user_id);
        IF outcome <> 'done' THEN
            RETURN;
        END IF;
    END IF;
    -- One class after the other, each as a range in the order of the index that has all of it.
    SELECT jsonb_object_agg(asked.id, v_classes -> asked.id),
           jsonb_object_agg(asked.id, jsonb_build_array(COALESCE(counted.annotations, 0), counted.images))
    INTO classes, counts
    FROM unnest(p_class_ids) AS asked (id)
    CROSS JOIN LATERAL (
        SELECT sum(per_image.annotations)::bigint AS annotations, count(*) AS images
        FROM (
            SELECT count(*) AS annotations FROM annotations a
            WHERE a.project_id = found_project_id AND a.task_type = p_task_type AND a.class_id = asked.id
            GROUP BY a.project_id, a.task_type, a.class_id, a.image_id
        ) per_image
    ) counted;
END;
$function$;
