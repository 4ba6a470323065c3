-- Claims an image for who holds one of the roles. `outcome`: as of hold_project_1 and claim_image_1.
-- It takes a share of the image that nobody but its deletion minds: who deletes it looks for locks after having taken it,
-- and the lock is there by then, or the image is missing here.
CREATE FUNCTION acquire_image_2(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean, p_image_id text, p_seconds integer,
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text, OUT lock image_locks
)
LANGUAGE plpgsql
SET search_path = public, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $function$
#variable_conflict use_column
DECLARE
    v_held record;
    v_claim record;
BEGIN
    v_held := hold_project_2(p_reference, p_user_id, p_roles, p_anyway);
    outcome := v_held.outcome;
    found_project_id := v_held.found_project_id;
    found_dataset_id := v_held.found_dataset_id;
    found_visibility := v_held.found_visibility;
    found_owner_id := v_held.found_owner_id;
    found_role := v_held.found_role;
    IF outcome IS DISTINCT FROM 'held' THEN
        RETURN;
    END IF;
    PERFORM FROM image_metadata i WHERE i.dataset_id = found_dataset_id AND i.id = p_image_id FOR KEY SHARE;
    v_claim := claim_image_1(found_project_id, found_dataset_id, p_image_id, p_user_id, p_seconds, false);
    outcome := v_claim.outcome;
    lock := v_claim.lock;
END;
$function$;
