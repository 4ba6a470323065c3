-- What leads from a new annotation to the deletions that it may undo: a hash of who, where, and the part of the shape
-- that costs little to look at. What else has to be equal says create_annotation_1.
CREATE FUNCTION undo_key_1(
    p_project_id text, p_user_id integer, p_annotation_type text, p_image_id text, p_geometry jsonb
) RETURNS bigint
LANGUAGE plpgsql
IMMUTABLE
AS $function$
BEGIN
    RETURN hashtextextended(
        concat_ws('/', p_project_id, p_user_id, p_annotation_type, p_image_id),
        CASE WHEN p_annotation_type = 'no_object' THEN 0
             ELSE jsonb_hash_extended(
                 coalesce(
                     p_geometry -> 'bbox', p_geometry -> 'points' -> 0, p_geometry -> 'center',
                     p_geometry - ARRAY['type', 'image_width', 'image_height', 'area']
                 ), 0
             ) END
    );
END;
$function$;
