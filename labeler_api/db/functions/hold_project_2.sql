-- As hold_project_1, in one statement for a member who has one of the roles: it finds the project by its id, and locks
-- what it finds. For a function that has set search_path and its plans: it sets nothing itself, which costs a tenth of
-- a save.
CREATE FUNCTION hold_project_2(
    p_reference text, p_user_id integer, p_roles text[], p_anyway boolean,
    OUT outcome text, OUT found_project_id text, OUT found_dataset_id text, OUT found_visibility text,
    OUT found_owner_id integer, OUT found_role text
)
LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
BEGIN
    IF NOT p_anyway THEN
        -- The project's row first, as everywhere else.
        SELECT 'held', p.id, d.id, d.visibility, d.owner_id, m.role
        INTO outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
        FROM annotation_projects p
        JOIN project_permissions m ON m.project_id = p.id
        JOIN datasets d ON d.id = p.dataset_id
        WHERE p.id = p_reference AND m.user_id = p_user_id AND m.role = ANY (p_roles)
        FOR KEY SHARE OF p FOR SHARE OF m;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    SELECT * INTO outcome, found_project_id, found_dataset_id, found_visibility, found_owner_id, found_role
    FROM hold_project_1(p_reference, p_user_id, p_roles, p_anyway);
END;
$function$;
