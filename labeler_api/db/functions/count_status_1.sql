-- Adds to the numbers of images of a project's task: of those that are confirmed, and of the other ones that were begun.
-- They are the sum of the rows of image_status_counts, of which there are as many as people once wrote at one moment.
-- Nobody waits: the first change of a transaction goes into a row that is free, or makes one. Each further change adds a
-- row, for a row that is changed again and again leaves a version each time, and all of them would be in the way. One of
-- 32 transactions makes one row of all that are free, and so does each that finds more than 64: thousands of images may
-- be confirmed in one transaction. A project that is being deleted counts no more. For a function that has set
-- search_path. Returns true, so that it can be called by an assignment.
CREATE FUNCTION count_status_1(p_project_id text, p_task_type text, p_confirmed integer, p_in_progress integer)
RETURNS boolean
LANGUAGE plpgsql
AS $function$
DECLARE
    v_key text := p_project_id || ' ' || p_task_type || E'\n';
    v_counted text := coalesce(current_setting('labeler.statuses_counted', true), '');
    v_confirmed integer := p_confirmed;
    v_in_progress integer := p_in_progress;
BEGIN
    IF position(v_key IN v_counted) = 0 THEN
        v_counted := set_config('labeler.statuses_counted', v_counted || v_key, true);
        IF pg_current_xact_id()::text::bigint % 32 > 0 AND NOT EXISTS (
            SELECT FROM image_status_counts c
            WHERE c.project_id = p_project_id AND c.task_type = p_task_type OFFSET 64
        ) THEN
            UPDATE image_status_counts
            SET confirmed = confirmed + p_confirmed, in_progress = in_progress + p_in_progress
            WHERE id = (
                SELECT c.id FROM image_status_counts c
                WHERE c.project_id = p_project_id AND c.task_type = p_task_type
                LIMIT 1 FOR UPDATE SKIP LOCKED
            );
            IF FOUND THEN
                RETURN true;
            END IF;
        ELSE
            WITH free AS (
                DELETE FROM image_status_counts WHERE id = ANY (ARRAY(
                    SELECT c.id FROM image_status_counts c
                    WHERE c.project_id = p_project_id AND c.task_type = p_task_type
                    LIMIT 10000 FOR UPDATE SKIP LOCKED
                ))
                RETURNING confirmed, in_progress
            )
            SELECT p_confirmed + coalesce(sum(confirmed), 0), p_in_progress + coalesce(sum(in_progress), 0)
            INTO v_confirmed, v_in_progress FROM free;
        END IF;
    END IF;
    INSERT INTO image_status_counts (project_id, task_type, confirmed, in_progress)
    SELECT p.id, p_task_type, v_confirmed, v_in_progress FROM annotation_projects p WHERE p.id = p_project_id;
    RETURN true;
END;
$function$;
