package llm

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/toolboxai/orchestrator/internal/fault"
)

const (
	maxRepairText    = 32 << 10 // of the refused answer, in bytes, that the second prompt repeats
	maxRepairDetails = 50
)

// Validating is a Client that holds answers against the caller's rules itself, because it does more with good ones than to return them.
type Validating interface {
	Client
	// CompleteValid is CompleteValid with this Client.
	CompleteValid(ctx context.Context, req Request, validate func(text string) []fault.Detail) (Response, int, error)
}

// CompleteValid calls c and, when the answer is of no use or validate finds something wrong with it, once more with that
// answer and the exact findings in the prompt. It returns the valid answer and how many calls it took (0 for one that a cache had, else 1 or 2); Usage is the
// sum of both. Where Request.OnStart is not set, the second call has no OnDelta: what it writes does not continue what was streamed.
//
// validate gets Response.Text and returns what is wrong with it, nothing for a good answer.
//
// Errors: an *InvalidOutputError when the last answer is of no use either, or there is no point in a second call (the model
// declined, or the offline composer wrote it); otherwise what Complete returned. With an error the Response holds nothing but
// the Usage that was paid all the same.
func CompleteValid(ctx context.Context, c Client, req Request, validate func(text string) []fault.Detail) (Response, int, error) {
	if v, ok := c.(Validating); ok {
		return v.CompleteValid(ctx, req, validate)
	}
	return completeValid(ctx, c, req, validate)
}

func completeValid(ctx context.Context, c Client, req Request, validate func(text string) []fault.Detail) (Response, int, error) {
	first, err := completeChecked(ctx, c, req, validate)
	var bad *InvalidOutputError
	if !errors.As(err, &bad) {
		return first, 1, err
	}
	if first.Offline || errors.Is(err, ErrRefused) {
		return Response{Usage: bad.Usage}, 1, err
	}
	paid := bad.Usage
	second, err := completeChecked(ctx, c, repairRequest(req, bad), validate)
	if errors.As(err, &bad) {
		bad.Usage = paid.Add(bad.Usage)
		return Response{Usage: bad.Usage}, 2, bad
	}
	if err != nil {
		return Response{Usage: paid}, 2, err
	}
	second.Usage = paid.Add(second.Usage)
	return second, 2, nil
}

// completeChecked makes a refusal by validate the same kind of error as an answer that is no JSON.
func completeChecked(ctx context.Context, c Client, req Request, validate func(string) []fault.Detail) (Response, error) {
	if req.OnStart != nil {
		req.OnStart()
	}
	resp, err := c.Complete(ctx, req)
	var useless *InvalidOutputError
	if errors.As(err, &useless) {
		resp.Text, resp.Usage = useless.LastText, useless.Usage
		req.refused(resp, useless.Details)
	}
	if err != nil {
		return Response{}, err
	}
	if details := validate(resp.Text); len(details) > 0 {
		req.refused(resp, details)
		bad := &InvalidOutputError{Details: details, LastText: clip(resp.Text, maxLastText), Usage: resp.Usage}
		return Response{Usage: resp.Usage, Offline: resp.Offline}, bad
	}
	return resp, nil
}

func (r Request) refused(answer Response, details []fault.Detail) {
	if r.OnRefused != nil {
		r.OnRefused(answer, details)
	}
}

// repairRequest asks for a better answer than the one bad describes.
func repairRequest(req Request, bad *InvalidOutputError) Request {
	var b strings.Builder
	b.WriteString(req.Prompt)
	if errors.Is(bad, ErrTruncated) {
		b.WriteString("\n\nYour previous answer was too long and was cut off. Answer again, complete but markedly shorter.\n")
	} else {
		b.WriteString("\n\nYour previous answer was:\n<previous_answer>\n")
		// The tag is data here: an answer that repeats it must not end the quotation.
		b.WriteString(strings.ReplaceAll(clip(bad.LastText, maxRepairText), "previous_answer>", "previous-answer>"))
		b.WriteString("\n</previous_answer>\nIt was refused for these reasons:\n")
		for i, d := range bad.Details {
			if i == maxRepairDetails {
				fmt.Fprintf(&b, "- and %d more of this sort\n", len(bad.Details)-i)
				break
			}
			fmt.Fprintf(&b, "- %s: %s\n", d.Field, d.Reason)
		}
		b.WriteString("Answer again in full, with every one of them corrected and the rest unchanged.\n")
	}
	if req.Prompt = b.String(); req.OnStart == nil {
		req.OnDelta = nil
	}
	return req
}
